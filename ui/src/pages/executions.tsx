import { useSearchParams } from "react-router";

import { get, getPage, query } from "../api";
import type { Agent, Execution, Queue, Team } from "../contracts";
import { useNow } from "../context";
import { Badge, Empty, Failure, Page } from "../parts/basics";
import { Table, type Column } from "../parts/table";
import { useLoad } from "../use_load";
import { ago, clock, count, money, pluralized, span, whoOf } from "../words";

const LIMIT = 50;
const EVERY_MS = 4000;
const STATUSES = ["pending", "running", "waiting_for_input", "paused", "completed", "failed", "cancelled"];
const FIELDS = ["status", "agent_id", "team_id", "worker_queue_id", "worker_id", "job_id", "since", "until", "text", "sort"] as const;
type Field = (typeof FIELDS)[number];

export default function Executions() {
  const now = useNow();
  const [params, setParams] = useSearchParams();
  const skip = Number(params.get("skip") ?? 0);
  const fields = Object.fromEntries(FIELDS.map((field) => [field, params.get(field)])) as Record<Field, string | null>;
  const sort = fields.sort ?? "-created_at";
  const asked = query({ ...fields, ...moments(fields), sort, skip, limit: LIMIT });
  const found = useLoad(asked, (signal) => getPage<Execution>(`/api/v1/executions${asked}`, signal), EVERY_MS);
  const set = (field: Field | "skip", value: string) => {
    const next = new URLSearchParams(params);
    if (value) next.set(field, value);
    else next.delete(field);
    if (field !== "skip") next.delete("skip");
    setParams(next, { replace: field !== "skip" });
  };
  const total = found.data?.total ?? 0;
  return (
    <Page title="Sessions" aside={<Filters fields={fields} set={set} />}>
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {found.data && total === 0 ? (
        <Empty title={params.size > 0 ? "No session is like that" : "Nothing has run yet"}>
          {params.size > 0 && <button onClick={() => setParams({})}>Show all</button>}
        </Empty>
      ) : (
        <>
          <Table
            label="Sessions"
            rows={found.data?.rows ?? []}
            columns={columns(now)}
            keyOf={(execution) => execution.id}
            to={(execution) => `/executions/${execution.id}`}
            sort={sort}
            setSort={(by) => set("sort", by)}
          />
          <div className="pager">
            <span className="quiet">
              {total > 0 && `${count(skip + 1)} to ${count(Math.min(skip + LIMIT, total))} of ${pluralized(total, "session")}`}
            </span>
            <button disabled={skip === 0} onClick={() => set("skip", String(Math.max(0, skip - LIMIT) || ""))}>
              Before
            </button>
            <button disabled={skip + LIMIT >= total} onClick={() => set("skip", String(skip + LIMIT))}>
              Next
            </button>
          </div>
        </>
      )}
    </Page>
  );
}

/** Times of the browser's zone as the API takes them. */
function moments(fields: Record<Field, string | null>): { since: string | null; until: string | null } {
  const moment = (text: string | null) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : null);
  return { since: moment(fields.since), until: moment(fields.until) };
}

function Filters({ fields, set }: { fields: Record<Field, string | null>; set: (field: Field, value: string) => void }) {
  const agents = useLoad("agents", (signal) => get<readonly Agent[]>("/api/v1/agents?limit=200", signal));
  const teams = useLoad("teams", (signal) => get<readonly Team[]>("/api/v1/teams?limit=200", signal));
  const queues = useLoad("queues", (signal) => get<readonly Queue[]>("/api/v1/worker-queues?limit=200", signal));
  const on = (field: Field) => (event: { target: { value: string } }) => set(field, event.target.value);
  return (
    <>
      <Choice
        label="Status"
        of={STATUSES.map((status) => [status, status.replaceAll("_", " ")])}
        chosen={fields.status}
        onChange={on("status")}
      />
      <Choice label="Agent" of={(agents.data ?? []).map(named)} chosen={fields.agent_id} onChange={on("agent_id")} />
      {(teams.data?.length || fields.team_id) && (
        <Choice label="Team" of={(teams.data ?? []).map(named)} chosen={fields.team_id} onChange={on("team_id")} />
      )}
      <Choice
        label="Queue"
        of={(queues.data ?? []).map(({ name }) => [name, name])}
        chosen={fields.worker_queue_id}
        onChange={on("worker_queue_id")}
      />
      <input type="datetime-local" aria-label="Since" title="Since" value={fields.since ?? ""} onChange={on("since")} />
      <input type="datetime-local" aria-label="Until" title="Until" value={fields.until ?? ""} onChange={on("until")} />
      <input type="search" aria-label="Text" placeholder="Text  /" value={fields.text ?? ""} onChange={on("text")} />
    </>
  );
}

function named({ id, name }: { id: string; name: string }): [string, string] {
  return [id, name];
}

interface ChoiceOf {
  label: string;
  /** Each value with its words. */
  of: readonly (readonly [string, string])[];
  chosen: string | null;
  onChange: (event: { target: { value: string } }) => void;
}

function Choice({ label, of, chosen, onChange }: ChoiceOf) {
  return (
    <select aria-label={label} value={chosen ?? ""} onChange={onChange}>
      <option value="">any {label.toLowerCase()}</option>
      {of.map(([value, words]) => (
        <option key={value} value={value}>
          {words}
        </option>
      ))}
    </select>
  );
}

function columns(now: number): readonly Column<Execution>[] {
  return [
    { name: "Status", sort: "status", cell: (execution) => <Badge state={execution.status} /> },
    { name: "Prompt", cell: (execution) => <span className="clip wide">{execution.prompt}</span> },
    { name: "Agent", cell: whoOf },
    { name: "Model", cell: (execution) => execution.model ?? "–" },
    {
      name: "Started",
      sort: "created_at",
      cell: (execution) => <time title={clock(execution.created_at)}>{ago(execution.created_at, now)}</time>,
      className: "number",
    },
    { name: "Duration", cell: (execution) => span(durationOf(execution, now)), className: "number" },
    {
      name: "Tokens",
      cell: ({ usage }) => count(usage.input_tokens + usage.output_tokens),
      className: "number",
    },
    { name: "Cost", cell: ({ usage }) => money(usage.cost_usd), className: "number" },
  ];
}

function durationOf(execution: Execution, now: number): number | null {
  if (!execution.started_at) return null;
  return (execution.completed_at ? Date.parse(execution.completed_at) : now) - Date.parse(execution.started_at);
}
