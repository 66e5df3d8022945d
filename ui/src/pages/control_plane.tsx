import type { Connection, Contact } from "../contracts";
import { useNow, useWorld } from "../context";
import { Badge, Facts, Figure, Page, Panel } from "../parts/basics";
import { Line } from "../parts/charts";
import { Json } from "../parts/text";
import { IS_FLEET } from "../place";
import { ago, capital, clock, count, since } from "../words";

const SHOWN = 12;

export default function ControlPlane() {
  const { live } = useWorld();
  if (!live) return <p className="quiet pad">Loading…</p>;
  return IS_FLEET ? <Own connection={live.connection} /> : <Reached connection={live.connection} />;
}

/** The one that serves these pages, as it sees itself. */
function Own({ connection }: { connection: Connection }) {
  const { session } = useWorld();
  const now = useNow();
  const parts = Object.entries(connection.checks);
  return (
    <Page title="Control Plane" aside={<Badge state={connection.state} />}>
      <div className="figures">
        <Took name="Its own check takes" samples={connection.samples} />
        {parts.map(([name, problem]) => (
          <Figure key={name} name={capital(name)} value={problem ? "unwell" : "well"} tone={problem ? "bad" : "calm"} note={problem ?? "answers"} />
        ))}
        <Figure name="Last check" value={ago(connection.last_contact, now)} />
      </div>
      <Times of="Time of each check of database and Temporal" samples={connection.samples} />
      <div className="grid two">
        <Panel title="The one that answers">
          <Facts
            rows={[
              ["Address", connection.url],
              ["Host", session.hostname],
              ["Version", session.version],
              ["System", session.os],
              ["Python", session.python],
              ["Temporal", connection.temporal_host],
            ]}
          />
          <p className="quiet">Where several share a database, another may answer next time: all show the same fleet.</p>
        </Panel>
        <Panel title="This browser">
          <Facts
            rows={[
              ["Let in with", session.guest?.key_name],
              ["Scope", session.guest?.key_scope],
              ["Until", clock(session.guest?.until)],
            ]}
          />
        </Panel>
      </div>
      <Failed title="Checks that failed" samples={connection.samples} />
    </Page>
  );
}

/** The one that the workers of this machine talk to. */
function Reached({ connection }: { connection: Connection }) {
  const now = useNow();
  return (
    <Page title="Control Plane" aside={<Badge state={connection.state} />}>
      <div className="figures">
        <Took name="Latency" samples={connection.samples} />
        <Figure
          name="Last contact"
          value={connection.last_contact ? ago(connection.last_contact, now) : "never"}
          tone={connection.state === "lost" ? "bad" : "calm"}
        />
        <Figure name="Reconnects" value={count(connection.reconnects)} note="since this interface began" />
        <Figure name={connection.state} value={since(connection.since, now)} note={`since ${clock(connection.since)}`} />
      </div>
      <Times of="Latency of each contact" samples={connection.samples} />
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
      <Failed title="Contacts that failed" samples={connection.samples} />
    </Page>
  );
}

function Times({ of, samples }: { of: string; samples: Connection["samples"] }) {
  return (
    <Panel title={`${of}, the newest to the right`}>
      <Line values={samples.map((sample) => sample.latency_ms)} label={`${of}: the last ${samples.length}`} />
    </Panel>
  );
}

function Took({ name, samples }: { name: string; samples: readonly Contact[] }) {
  const known = samples.flatMap((sample) => (sample.latency_ms === null ? [] : [sample.latency_ms]));
  const sorted = [...known].sort((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  return (
    <Figure
      name={name}
      value={known.length ? `${(known.at(-1) ?? 0).toFixed(1)} ms` : "–"}
      note={median === undefined ? "no answer yet" : `median ${median.toFixed(1)} ms`}
    />
  );
}

function Failed({ title, samples }: { title: string; samples: readonly Contact[] }) {
  const failed = samples.filter((sample) => sample.error !== null);
  return (
    <Panel title={title}>
      <ul className="activity">
        {failed
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
      {failed.length === 0 && <p className="quiet">None of those kept.</p>}
    </Panel>
  );
}
