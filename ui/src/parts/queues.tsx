// What serves each queue: its live workers, their slots, and what waits.

import { Link } from "react-router";

import type { Live, PoolWorker } from "../contracts";
import { count } from "../words";
import { Badge, Empty, Panel } from "./basics";
import { Table, type Column } from "./table";

const MOST_HOSTS = 3;

interface QueueRow {
  readonly queue: string;
  readonly workers: readonly PoolWorker[];
  readonly backlog: number | null;
}

export function Queues({ live }: { live: Live }) {
  const rows = rowsOf(live);
  return (
    <Panel title="Queues" aside={<Link to="/workers">All workers</Link>}>
      {rows.length === 0 ? (
        <Empty title="No queue has a worker" />
      ) : (
        <Table
          label="Queues"
          rows={rows}
          columns={COLUMNS}
          keyOf={(row) => row.queue}
          to={(row) => `/workers?q=${encodeURIComponent(row.queue)}`}
        />
      )}
    </Panel>
  );
}

const COLUMNS: readonly Column<QueueRow>[] = [
  { name: "Queue", cell: ({ queue }) => <strong>{queue}</strong> },
  { name: "Workers", cell: ({ workers }) => states(workers) },
  { name: "Hosts", cell: ({ workers }) => hosts(workers) },
  { name: "Slots", cell: ({ workers }) => slots(workers), className: "number" },
  { name: "Waiting", cell: ({ backlog }) => count(backlog), className: "number" },
];

function states(workers: readonly PoolWorker[]) {
  const counted = new Map<string, number>();
  for (const { listed } of workers) counted.set(listed.state, (counted.get(listed.state) ?? 0) + 1);
  return [...counted].map(([state, number]) => (
    <span key={state}>
      {number} <Badge state={state} />{" "}
    </span>
  ));
}

function hosts(workers: readonly PoolWorker[]): string {
  const names = [...new Set(workers.map(({ listed }) => listed.hostname ?? "?"))];
  return names.length > MOST_HOSTS ? `${names.length} hosts` : names.join(", ");
}

function slots(workers: readonly PoolWorker[]): string {
  const known = workers.flatMap(({ report }) => (report ? [report.activities] : []));
  const used = known.reduce((sum, one) => sum + (one.used ?? 0), 0);
  return known.length ? `${used} / ${known.reduce((sum, one) => sum + one.total, 0)}` : "–";
}

function rowsOf(live: Live): readonly QueueRow[] {
  const found = new Map<string, PoolWorker[]>();
  for (const worker of live.workers) {
    if (worker.remote?.disconnected_at !== null) continue;
    found.set(worker.listed.queue, [...(found.get(worker.listed.queue) ?? []), worker]);
  }
  return [...found]
    .map(([queue, workers]) => ({ queue, workers, backlog: live.backlog[queue] ?? null }))
    .sort((one, other) => one.queue.localeCompare(other.queue));
}
