import { Link } from "react-router";

import { get } from "../api";
import type { Execution, Live, Minute, Notice } from "../contracts";
import { useNow, useWorld } from "../context";
import { Badge, Empty, Facts, Failure, Figure, Page, Panel } from "../parts/basics";
import { Bars, Line } from "../parts/charts";
import { Queues } from "../parts/queues";
import { IS_FLEET } from "../place";
import { useLoad } from "../use_load";
import { ago, clock, pluralized, span } from "../words";

const RECENT_MS = 4000;
const ANSWERS = IS_FLEET ? "Time of its own check" : "Latency";
const NOT_KNOWN = "not known for now";

export default function Overview() {
  const { live, session } = useWorld();
  const now = useNow();
  return (
    <Page title="Overview">
      {live && <Notices notices={live.notices} />}
      {live ? <Figures live={live} /> : <p className="quiet pad">Loading…</p>}
      <div className="grid two">
        <div className="stack">
          {IS_FLEET && live && <Queues live={live} />}
          <Recent />
        </div>
        <div className="stack">
          {live && <Connection live={live} now={now} />}
          <Panel title="System">
            <Facts
              rows={[
                ["Version", session.version],
                ["Build of these pages", session.build],
                [IS_FLEET ? "Answered from" : "Host", session.hostname],
                ["System", session.os],
                ["Python", session.python],
                ...(IS_FLEET ? [] : [["Home", session.home] as const]),
                ["Temporal", live?.connection.temporal_host],
              ]}
            />
          </Panel>
        </div>
      </div>
    </Page>
  );
}

function Notices({ notices }: { notices: readonly Notice[] }) {
  return notices.map((notice) => (
    <div key={notice.text} className="banner warn" role="alert">
      {notice.text} {notice.remedy && <span className="remedy">{notice.remedy}</span>}
    </div>
  ));
}

function Figures({ live }: { live: Live }) {
  const states = new Map<string, number>();
  for (const worker of live.workers) states.set(worker.listed.state, (states.get(worker.listed.state) ?? 0) + 1);
  const isKnown = live.connection.state === "connected";
  const takesNone = live.workers.filter((worker) => worker.report?.taking === false).length;
  const running = (states.get("running") ?? 0) + (states.get("active") ?? 0);
  const waiting = Object.values(live.backlog).reduce((sum, tasks) => sum + tasks, 0);
  const last = live.minutes.slice(-60);
  const total = (field: keyof Omit<Minute, "at">) => last.reduce((sum, minute) => sum + minute[field], 0);
  const [completed, failed] = [total("completed"), total("failed")];
  const ended = completed + failed;
  return (
    <div className="figures">
      <Figure
        name="Workers running"
        value={running}
        tone={live.workers.length > 0 && running === 0 ? "bad" : "calm"}
        note={
          [...[...states].map(([state, number]) => `${number} ${state}`), ...(takesNone ? [`${takesNone} taking no work`] : [])].join(
            ", ",
          ) || "none was started"
        }
      />
      <Figure
        name="Executions in the last hour"
        value={isKnown ? total("started") : "–"}
        note={
          isKnown ? (
            <Bars
              values={last.map((minute) => minute.completed)}
              bad={last.map((minute) => minute.failed)}
              label={`Executions that ended, by minute: ${completed} completed and ${failed} failed in the last hour`}
            />
          ) : (
            NOT_KNOWN
          )
        }
      />
      <Figure
        name="Failed"
        value={ended ? `${Math.round((100 * failed) / ended)} %` : "–"}
        tone={failed > 0 ? "bad" : "calm"}
        note={isKnown ? (ended ? `${failed} of ${pluralized(ended, "execution")}` : "none ended in the last hour") : NOT_KNOWN}
      />
      <Figure
        name="Waiting in queues"
        value={isKnown || waiting > 0 ? waiting : "–"}
        tone={waiting > 0 ? "warn" : "calm"}
        note={
          Object.entries(live.backlog)
            .filter(([, tasks]) => tasks > 0)
            .map(([queue, tasks]) => `${tasks} in ${queue}`)
            .join(", ") || (isKnown ? "nothing waits" : NOT_KNOWN)
        }
      />
    </div>
  );
}

function Connection({ live, now }: { live: Live; now: number }) {
  const { connection } = live;
  const latency = connection.samples.at(-1)?.latency_ms ?? null;
  return (
    <Panel title="Control plane" aside={<Badge state={connection.state} />}>
      <Line
        values={connection.samples.map((sample) => sample.latency_ms)}
        label={`${ANSWERS} of the control plane: ${latency === null ? "it does not answer" : span(latency)}`}
      />
      <Facts
        rows={[
          ["Address", connection.url],
          [ANSWERS, latency === null ? "–" : `${latency.toFixed(1)} ms`],
          [IS_FLEET ? "Last check" : "Last contact", ago(connection.last_contact, now)],
        ]}
      />
      <Link to="/control-plane">More</Link>
    </Panel>
  );
}

function Recent() {
  const now = useNow();
  const recent = useLoad("recent", (signal) => get<readonly Execution[]>("/api/v1/executions?limit=12", signal), RECENT_MS);
  return (
    <Panel title="Recent activity" aside={<Link to="/executions">All sessions</Link>}>
      {recent.data?.length === 0 && (
        <Empty title="Nothing has run yet">
          <Link to="/playground">Run something in the playground</Link>
        </Empty>
      )}
      {recent.data === null && recent.problem && <Failure problem={recent.problem} />}
      <ul className="activity">
        {recent.data?.map((execution) => (
          <li key={execution.id}>
            <Badge state={execution.status} />
            <Link to={`/executions/${execution.id}`}>{execution.prompt}</Link>
            <time dateTime={execution.created_at} title={clock(execution.created_at)}>
              {ago(execution.created_at, now)}
            </time>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
