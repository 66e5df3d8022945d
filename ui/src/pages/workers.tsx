import { useSearchParams } from "react-router";

import type { PoolWorker } from "../contracts";
import { useNow, useWorld } from "../context";
import { Badge, Empty, Page } from "../parts/basics";
import { Table, type Column } from "../parts/table";
import { IS_FLEET } from "../place";
import { count, since, size } from "../words";

export default function Workers() {
  const { live } = useWorld();
  const now = useNow();
  const [params, setParams] = useSearchParams();
  const text = params.get("q") ?? "";
  const rows = (live?.workers ?? []).filter((worker) => matches(worker, text));
  return (
    <Page
      title="Workers"
      aside={
        <input
          type="search"
          aria-label="Filter workers"
          placeholder="Filter  /"
          value={text}
          onChange={(event) => setParams(event.target.value ? { q: event.target.value } : {}, { replace: true })}
        />
      }
    >
      {live?.workers.length === 0 ? (
        <Empty title={IS_FLEET ? "No worker of this control plane lives" : "No worker was started on this machine"}>
          <pre>
            {IS_FLEET && `export CONTROL_PLANE_URL=${location.origin} KUBIYA_API_KEY=…\n`}
            kubiya worker start --queue-id=my-queue --type=local -d
          </pre>
        </Empty>
      ) : (
        <Table
          label="Workers"
          rows={rows}
          columns={columns(now)}
          keyOf={(worker) => worker.key}
          to={(worker) => `/workers/${encodeURIComponent(worker.key)}`}
        />
      )}
    </Page>
  );
}

function columns(now: number): readonly Column<PoolWorker>[] {
  const columns = all(now);
  return IS_FLEET ? columns.filter(({ name }) => name !== "Type" && name !== "Restarts") : columns;
}

function all(now: number): readonly Column<PoolWorker>[] {
  return [
    { name: "Queue", cell: (worker) => <strong>{worker.listed.queue}</strong> },
    { name: "State", cell: (worker) => <Badge state={worker.pause ? "paused" : worker.listed.state} /> },
    { name: "Type", cell: (worker) => worker.listed.type },
    { name: "Host", cell: (worker) => worker.listed.hostname },
    { name: "PID", cell: (worker) => worker.listed.pid, className: "number" },
    { name: "Uptime", cell: (worker) => since(worker.listed.started_at, now), className: "number" },
    {
      name: "Slots",
      cell: ({ report }) => (report ? `${report.activities.used ?? "?"} / ${report.activities.total}` : "–"),
      className: "number",
    },
    {
      name: "CPU",
      cell: ({ report }) => (report ? `${report.cpu_percent.toFixed(1)} %` : "–"),
      className: "number",
    },
    { name: "Memory", cell: ({ report }) => size(report?.memory), className: "number" },
    { name: "Tasks", cell: (worker) => count(worker.listed.tasks), className: "number" },
    { name: "Restarts", cell: (worker) => count(worker.listed.restarts), className: "number" },
    ...(IS_FLEET
      ? [{ name: "Heard", cell: ({ remote }: PoolWorker) => `${since(remote?.last_heartbeat, now)} ago`, className: "number" }]
      : []),
    { name: "Worker ID", cell: (worker) => <code>{worker.listed.worker_id?.slice(0, 8) ?? "–"}</code> },
  ];
}

function matches(worker: PoolWorker, text: string): boolean {
  const { queue, state, hostname, pid, worker_id } = worker.listed;
  return [queue, state, hostname, pid, worker_id].join(" ").toLowerCase().includes(text.toLowerCase());
}
