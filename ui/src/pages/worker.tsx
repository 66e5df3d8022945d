import type { ReactNode } from "react";
import { Link, useParams } from "react-router";

import { post } from "../api";
import type { Action, PoolWorker, Wish, Worker, WorkerReport } from "../contracts";
import { useNow, useWorld } from "../context";
import { useMay } from "../may";
import { Badge, Confirmed, Empty, Facts, Figure, Page, Panel } from "../parts/basics";
import { LogView } from "../parts/log_view";
import { IS_FLEET } from "../place";
import { ago, clock, count, shown, since, size, span } from "../words";

const QUESTIONS: Record<Action, string> = {
  pause: "It finishes what it has and takes nothing new, until it is resumed. Pause it?",
  resume: "It takes work again. Resume it?",
  drain: "It finishes or hands back what runs, then ends and is not started again. Drain it?",
  restart: "It drains, and is started again as it was. Restart it?",
};
const NAMES: Record<Action, string> = { pause: "Pause", resume: "Resume", drain: "Drain", restart: "Restart" };

export default function WorkerPage() {
  const { key = "" } = useParams();
  const { live } = useWorld();
  const not = useMay("tend");
  const worker = live?.workers.find((one) => one.key === key);
  if (live === null) return <p className="quiet pad">Loading…</p>;
  if (worker === undefined) {
    return (
      <Empty title={IS_FLEET ? `No worker ${key} lives, or did within the last hour` : `There is no worker of queue ${key} here`}>
        <Link to="/workers">All workers</Link>
      </Empty>
    );
  }
  return (
    <Page
      title={
        <>
          {worker.listed.queue} {worker.remote && <span className="quiet">on {worker.listed.hostname ?? "a host without a name"}</span>}{" "}
          <Badge state={worker.pause ? "paused" : worker.listed.state} />
        </>
      }
      aside={worker.actions.map((action) => (
        <Confirmed
          key={action}
          name={NAMES[action]}
          question={QUESTIONS[action]}
          act={() => post(`${worker.record ? "/console/api" : "/api/v1"}/workers/${encodeURIComponent(key)}/${action}`)}
          not={not}
        />
      ))}
    >
      {worker.remote && <Remote worker={worker.remote} others={live.workers} />}
      <Why worker={worker} />
      {worker.report && <Figures report={worker.report} />}
      {worker.report && worker.remote && <AsOf heard={worker.remote.last_heartbeat} />}
      <div className="grid two">
        <About worker={worker} />
        <Running worker={worker} />
      </div>
      {worker.remote && (
        <Panel title="Log">
          <p className="quiet">Its log is on its host. There:</p>
          <pre className="terminal">kubiya worker logs --queue-id={worker.listed.queue} --follow</pre>
        </Panel>
      )}
      {worker.log && (
        <Panel title="Log" aside={<Link to={`/logs?source=${encodeURIComponent(worker.log)}`}>Search it</Link>}>
          <LogView source={worker.log} className="short" />
        </Panel>
      )}
    </Page>
  );
}

/** What was asked of it, whether it has heard, and that it is gone. */
function Remote({ worker, others }: { worker: Worker; others: readonly PoolWorker[] }) {
  const now = useNow();
  const { wish } = worker;
  const isGone = worker.disconnected_at !== null;
  const next = others.find(
    ({ remote }) =>
      remote && remote.disconnected_at === null && remote.hostname === worker.hostname && remote.queue_id === worker.queue_id,
  );
  return (
    <div role="status" className="stack">
      {isGone && (
        <p className="banner bad">
          It is {shown(worker.status)} since {clock(worker.disconnected_at)}
          {worker.disconnect_reason && `: ${worker.disconnect_reason}`}. It hears nothing any more.{" "}
          {next && <Link to={`/workers/${next.key}`}>Another of its queue runs on its host.</Link>}
        </p>
      )}
      {wish && <Asked wish={wish} isGone={isGone} now={now} />}
    </div>
  );
}

function Asked({ wish, isGone, now }: { wish: Wish; isGone: boolean; now: number }) {
  const asked = `Asked to ${wish.action} by ${wish.asked_by} ${since(wish.asked_at, now)} ago`;
  if (wish.refused !== null) return <p className="banner bad">{`${asked}. It cannot: ${wish.refused}`}</p>;
  if (wish.heard_at !== null) return <p className="banner">{`${asked}. It heard at ${clock(wish.heard_at)}.`}</p>;
  if (isGone) return <p className="banner bad">{`${asked}. It was gone before it heard.`}</p>;
  return <p className="banner warn">{`${asked}. It hears of it within moments, with its next heartbeat at the latest.`}</p>;
}

function Why({ worker }: { worker: PoolWorker }) {
  const reason = worker.report?.taking === false ? worker.report.reason : worker.record?.reason;
  return reason ? <p className="banner warn">It takes no work: {reason}</p> : null;
}

function AsOf({ heard }: { heard: string }) {
  return <p className="quiet">As of its last heartbeat, {since(heard, useNow())} ago.</p>;
}

function Figures({ report }: { report: WorkerReport }) {
  return (
    <div className="figures">
      <Figure
        name="Slots in use"
        value={`${report.activities.used ?? "?"} / ${report.activities.total}`}
        note={report.taking ? "takes work" : "takes none"}
      />
      <Figure
        name="Memory"
        value={size(report.memory)}
        note={report.memory_limit ? `of ${size(report.memory_limit)}` : "with its tools, no limit"}
      />
      <Figure name="CPU" value={`${report.cpu_percent.toFixed(1)} %`} note="of one core" />
      <Figure
        name="Tasks done"
        value={count(report.tasks_completed)}
        tone={report.tasks_failed ? "warn" : "calm"}
        note={`${report.tasks_failed} failed, ${span(report.average_task_s * 1000)} on average`}
      />
    </div>
  );
}

function About({ worker }: { worker: PoolWorker }) {
  const now = useNow();
  const { listed, record, remote, report } = worker;
  return (
    <Panel title="Process">
      <Facts
        rows={[
          ["Worker ID", listed.worker_id && <code>{listed.worker_id}</code>],
          ["Host", listed.hostname],
          ["PID", listed.pid],
          ["Uptime", since(listed.started_at, now)],
          ...(remote ? [] : [["Restarts", restarts(worker)] as const]),
          ["Last poll", report?.last_poll && ago(report.last_poll, now)],
          ["Last heartbeat", ago(remote?.last_heartbeat ?? report?.last_heartbeat, now)],
          ["Backlog of its queue", report?.backlog],
          ...(remote ? told(remote, now) : []),
          ["Version", listed.version],
          ["Control plane", record?.control_plane_url ?? report?.control_plane_url],
          ["Temporal", report?.temporal_host],
          ["Directory", record?.started_with.cwd ?? remote?.system_info["cwd"]?.toString()],
          ...(record ? [["Log", record.log] as const] : []),
          ["Metrics", report?.metrics],
          ["Paused", worker.pause && `since ${clock(worker.pause.since)}${worker.pause.note ? `: ${worker.pause.note}` : ""}`],
        ]}
      />
    </Panel>
  );
}

function restarts({ listed, record }: PoolWorker): ReactNode {
  return record?.last_restart ? `${record.restarts}, the last: ${record.last_restart.reason}` : listed.restarts;
}

function told(remote: Worker, now: number): readonly (readonly [string, ReactNode])[] {
  const system = (name: string) => remote.system_info[name]?.toString();
  return [
    ["Registered", `${since(remote.registered_at, now)} ago`],
    ["System", [system("os_name"), system("os_version")].filter(Boolean).join(" ") || null],
    ["Python", system("python_version")],
  ];
}

function Running({ worker }: { worker: PoolWorker }) {
  const running = worker.report?.executions ?? [];
  return (
    <Panel title="Running now">
      {running.length === 0 ? (
        <Empty title="Nothing runs here at the moment">
          <Link to={`/executions?worker_queue_id=${encodeURIComponent(worker.listed.queue)}`}>What ran before</Link>
        </Empty>
      ) : (
        <ul className="activity">
          {running.map((id) => (
            <li key={id}>
              <Badge state="running" />
              <Link to={`/executions/${id}`}>{id}</Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
