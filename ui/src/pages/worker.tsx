import { Link, useParams } from "react-router";

import { post } from "../api";
import type { Action, PoolWorker, WorkerReport } from "../contracts";
import { useNow, useWorld } from "../context";
import { Badge, Confirmed, Empty, Facts, Figure, Page, Panel } from "../parts/basics";
import { LogView } from "../parts/log_view";
import { ago, clock, count, since, size, span } from "../words";

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
  const worker = live?.workers.find((one) => one.key === key);
  if (live === null) return <p className="quiet pad">Loading…</p>;
  if (worker === undefined) {
    return (
      <Empty title={`There is no worker of queue ${key} here`}>
        <Link to="/workers">All workers</Link>
      </Empty>
    );
  }
  return (
    <Page
      title={
        <>
          {worker.listed.queue} <Badge state={worker.pause ? "paused" : worker.listed.state} />
        </>
      }
      aside={worker.actions.map((action) => (
        <Confirmed
          key={action}
          name={NAMES[action]}
          question={QUESTIONS[action]}
          act={() => post(`/console/api/workers/${encodeURIComponent(key)}/${action}`)}
        />
      ))}
    >
      <Why worker={worker} />
      {worker.report && <Figures report={worker.report} />}
      <div className="grid two">
        <About worker={worker} />
        <Running worker={worker} />
      </div>
      {worker.log && (
        <Panel title="Log" aside={<Link to={`/logs?source=${encodeURIComponent(worker.log)}`}>Search it</Link>}>
          <LogView source={worker.log} className="short" />
        </Panel>
      )}
    </Page>
  );
}

function Why({ worker }: { worker: PoolWorker }) {
  const reason = worker.report?.taking === false ? worker.report.reason : worker.record?.reason;
  return reason ? <p className="banner warn">It takes no work: {reason}</p> : null;
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
  const { listed, record, report } = worker;
  return (
    <Panel title="Process">
      <Facts
        rows={[
          ["Worker ID", listed.worker_id && <code>{listed.worker_id}</code>],
          ["Host", listed.hostname],
          ["PID", listed.pid],
          ["Uptime", since(listed.started_at, now)],
          ["Restarts", record?.last_restart ? `${record.restarts}, the last: ${record.last_restart.reason}` : listed.restarts],
          ["Last poll", report?.last_poll && ago(report.last_poll, now)],
          ["Last heartbeat", report?.last_heartbeat && ago(report.last_heartbeat, now)],
          ["Backlog of its queue", report?.backlog],
          ["Version", listed.version],
          ["Control plane", record?.control_plane_url],
          ["Temporal", report?.temporal_host],
          ["Directory", record?.started_with.cwd],
          ["Log", record?.log],
          ["Metrics", report?.metrics],
          ["Paused", worker.pause && `since ${clock(worker.pause.since)}${worker.pause.note ? `: ${worker.pause.note}` : ""}`],
        ]}
      />
    </Panel>
  );
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
