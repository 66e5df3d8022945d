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
      <select aria-label="Status" value={fields.status ?? ""} onChange={on("status")}>
        <option value="">any status</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {status.replaceAll("_", " ")}
          </option>
        ))}
      </select>
      <select aria-label="Agent" value={fields.agent_id ?? ""} onChange={on("agent_id")}>
        <option value="">any agent</option>
        {(agents.data ?? []).map((agent) => (
          <option key={agent.id} value={agent.id}>
            {agent.name}
          </option>
        ))}
      </select>
      {((teams.data ?? []).length > 0 || fields.team_id) && (
        <select aria-label="Team" value={fields.team_id ?? ""} onChange={on("team_id")}>
          <option value="">any team</option>
          {(teams.data ?? []).map((team) => (
            <option key={team.id} value={team.id}>
              {team.name}
            </option>
          ))}
        </select>
      )}
      <select aria-label="Queue" value={fields.worker_queue_id ?? ""} onChange={on("worker_queue_id")}>
        <option value="">any queue</option>
        {(queues.data ?? []).map((queue) => (
          <option key={queue.id} value={queue.name}>
            {queue.name}
          </option>
        ))}
      </select>
      <input type="datetime-local" aria-label="Since" title="Since" value={fields.since ?? ""} onChange={on("since")} />
      <input type="datetime-local" aria-label="Until" title="Until" value={fields.until ?? ""} onChange={on("until")} />
      <input type="search" aria-label="Text" placeholder="Text  /" value={fields.text ?? ""} onChange={on("text")} />
    </>
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
