import { useNow, useWorld } from "../context";
import { Badge, Facts, Figure, Page, Panel } from "../parts/basics";
import { Line } from "../parts/charts";
import { Json } from "../parts/text";
import { ago, clock, count, since } from "../words";

const SHOWN = 12;

export default function ControlPlane() {
  const { live } = useWorld();
  const now = useNow();
  if (!live) return <p className="quiet pad">Loading…</p>;
  const { connection } = live;
  const known = connection.samples.flatMap((sample) => (sample.latency_ms === null ? [] : [sample.latency_ms]));
  const sorted = [...known].sort((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  return (
    <Page title="Control Plane" aside={<Badge state={connection.state} />}>
      <div className="figures">
        <Figure
          name="Latency"
          value={known.length ? `${(known.at(-1) ?? 0).toFixed(1)} ms` : "–"}
          note={median === undefined ? "no answer yet" : `median ${median.toFixed(1)} ms`}
        />
        <Figure
          name="Last contact"
          value={connection.last_contact ? ago(connection.last_contact, now) : "never"}
          tone={connection.state === "lost" ? "bad" : "calm"}
        />
        <Figure name="Reconnects" value={count(connection.reconnects)} note="since this interface began" />
        <Figure name={connection.state} value={since(connection.since, now)} note={`since ${clock(connection.since)}`} />
      </div>
      <Panel title="Latency of each contact, the newest to the right">
        <Line
          values={connection.samples.map((sample) => sample.latency_ms)}
          label={`Latency over ${connection.samples.length} contacts`}
        />
      </Panel>
      <div className="grid two">
        <Panel title="Connection">
          <Facts
            rows={[
              ["Address", connection.url],
              ["Kind", connection.embedded ? "embedded, on this machine" : "configured"],
              ["Version", connection.version],
              ["Authentication", connection.authentication],
              ["Temporal", connection.temporal_host],
              ...Object.entries(connection.checks).map(
                ([name, problem]) => [`Its ${name}`, problem ?? "is well"] as const,
              ),
            ]}
          />
        </Panel>
        <Panel title="Configuration received">
          <Json value={connection.configuration} />
        </Panel>
      </div>
      <Panel title="Contacts that failed">
        <ul className="activity">
          {connection.samples
            .filter((sample) => sample.error !== null)
            .slice(-SHOWN)
            .reverse()
            .map((sample) => (
              <li key={sample.at}>
                <Badge state="lost" />
                <span>{sample.error}</span>
                <time>{clock(sample.at)}</time>
              </li>
            ))}
        </ul>
        {connection.samples.every((sample) => sample.error === null) && <p className="quiet">None of those kept.</p>}
      </Panel>
    </Page>
  );
}
