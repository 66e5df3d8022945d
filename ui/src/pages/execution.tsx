import { useState, type ReactNode } from "react";
import { Link, useNavigate, useParams } from "react-router";

import { get, post } from "../api";
import type { Execution, Queue, Submitted, Usage, UsageSum } from "../contracts";
import { useNow } from "../context";
import { useMay } from "../may";
import { Badge, Copy, Facts, Failure, Page, Panel, Tabs } from "../parts/basics";
import { EventsView } from "../parts/events_view";
import { RunLive } from "../parts/run_live";
import { Markdown } from "../parts/text";
import { Timeline } from "../parts/timeline";
import type { Run } from "../stream/reducer";
import { useRun } from "../stream/use_run";
import { useLoad } from "../use_load";
import { clock, count, money, span } from "../words";

const EVERY_MS = 3000;
const TABS = [
  ["conversation", "Conversation"],
  ["timeline", "Timeline"],
  ["events", "Raw events"],
  ["usage", "Usage"],
] as const;
type Tab = (typeof TABS)[number][0];

export default function ExecutionPage() {
  const { id = "" } = useParams();
  return <Opened key={id} id={id} />;
}

function Opened({ id }: { id: string }) {
  const [tab, setTab] = useState<Tab>("conversation");
  const { run, isConnected } = useRun(id);
  const isOver = run.done !== null;
  const loaded = useLoad(
    `${id} ${isOver}`,
    (signal) => get<Execution>(`/api/v1/executions/${encodeURIComponent(id)}`, signal),
    isOver ? undefined : EVERY_MS,
  );
  if (loaded.problem && !loaded.data) {
    return (
      <Page title="Session">
        <Failure problem={loaded.problem} again={loaded.again} />
      </Page>
    );
  }
  const execution = loaded.data;
  if (!execution) return <p className="quiet pad">Loading…</p>;
  return (
    <Page
      title={
        <>
          <span className="clip title-clip">{execution.prompt}</span> <Badge state={execution.status} />
        </>
      }
      aside={<Actions execution={execution} />}
    >
      <Why execution={execution} />
      <Tabs of={TABS} chosen={tab} choose={setTab} label="Views of this session" />
      <div className="execution">
        <div role="tabpanel" aria-label={tab}>
          {tab === "conversation" && <RunLive id={id} run={run} isConnected={isConnected} isPart />}
          {tab === "timeline" && <Times run={run} />}
          {tab === "events" && <EventsView run={run} />}
          {tab === "usage" && <Used execution={execution} />}
        </div>
        <About execution={execution} />
      </div>
    </Page>
  );
}

function Why({ execution }: { execution: Execution }) {
  if (execution.error_message) {
    return (
      <div className="failure" role="alert">
        <p>
          <strong>{execution.failure_reason ?? "failed"}</strong>: {execution.error_message}
        </p>
      </div>
    );
  }
  return execution.status_reason && !execution.completed_at ? <p className="banner calm">Waits for {execution.status_reason}</p> : null;
}

function Actions({ execution }: { execution: Execution }) {
  const navigate = useNavigate();
  const not = useMay("run");
  const [problem, setProblem] = useState<string | null>(null);
  const again = () => {
    post<Submitted>(pathOf(execution), requestOf(execution))
      .then((submitted) => navigate(`/playground/${submitted.id}`))
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  };
  return (
    <>
      {problem && <span className="bad-text">{problem}</span>}
      <Copy label="Copy as command" text={commandOf(execution)} />
      <Copy label="Copy as curl" text={curlOf(execution)} />
      <Copy label="Copy as JSON" text={JSON.stringify(execution, null, 2)} />
      <button className="primary" onClick={again} disabled={not !== null} title={not ?? undefined}>
        Run again
      </button>
    </>
  );
}

function pathOf(execution: Execution): string {
  return `/api/v1/${execution.execution_type}s/${encodeURIComponent(execution.entity_id)}/execute`;
}

function requestOf(execution: Execution): object {
  return {
    prompt: execution.prompt,
    ...(execution.worker_queue_id ? { worker_queue_id: execution.worker_queue_id } : {}),
    ...(execution.model ? { model: execution.model } : {}),
  };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function commandOf(execution: Execution): string {
  const words = ["kubiya exec", `--${execution.execution_type} ${quoted(execution.entity_name ?? execution.entity_id)}`];
  if (execution.worker_queue_id) words.push(`--queue ${quoted(execution.worker_queue_id)}`);
  if (execution.model) words.push(`--model ${quoted(execution.model)}`);
  return [...words, quoted(execution.prompt)].join(" ");
}

function curlOf(execution: Execution): string {
  return [
    `curl -X POST "$CONTROL_PLANE_URL${pathOf(execution)}"`,
    `-H "Authorization: Bearer $KUBIYA_API_KEY"`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(requestOf(execution)))}`,
  ].join(" \\\n  ");
}

function Times({ run }: { run: Run }) {
  const now = useNow();
  return (
    <Panel>
      <Timeline run={run} now={now} />
    </Panel>
  );
}

function About({ execution }: { execution: Execution }) {
  const now = useNow();
  const end = execution.completed_at ? Date.parse(execution.completed_at) : now;
  const queueId = execution.worker_queue_id;
  const queue = useLoad(`queue ${queueId}`, async (signal) =>
    queueId ? await get<Queue>(`/api/v1/worker-queues/${encodeURIComponent(queueId)}`, signal) : null,
  );
  const { usage } = execution;
  const rows: [string, ReactNode][] = [
    ["Execution", <code key="id">{execution.id}</code>],
    [execution.execution_type === "team" ? "Team" : "Agent", execution.entity_name ?? execution.entity_id],
    ["Member of", execution.execution_type === "agent" ? execution.team_name : null],
    ["Model", execution.model],
    ["Queue", queue.data?.name ?? execution.worker_queue_id],
    ["Worker", execution.worker_id],
    ["Submitted", clock(execution.created_at)],
    ["Waited", execution.started_at && span(Date.parse(execution.started_at) - Date.parse(execution.created_at))],
    ["Ran", execution.started_at && span(end - Date.parse(execution.started_at))],
    ["Tokens", `${count(usage.input_tokens)} → ${count(usage.output_tokens)}`],
    ["Cost", money(usage.cost_usd)],
    ["Parent", execution.parent_execution_id && <Link to={`/executions/${execution.parent_execution_id}`}>{execution.parent_execution_id}</Link>],
  ];
  return (
    <aside className="stack">
      <Panel title="About">
        <Facts rows={rows.filter(([, value]) => value !== null && value !== "")} />
      </Panel>
      {execution.response && (
        <Panel title="Answer" aside={<Copy text={execution.response} />}>
          <Markdown text={execution.response} />
        </Panel>
      )}
    </aside>
  );
}

function Used({ execution }: { execution: Execution }) {
  const calls = useLoad(`usage ${execution.id} ${execution.status}`, (signal) =>
    get<readonly UsageSum[]>(`/api/v1/usage?by=step&execution_id=${encodeURIComponent(execution.id)}`, signal),
  );
  if (calls.problem) return <Failure problem={calls.problem} again={calls.again} />;
  const { usage } = execution;
  return (
    <Panel title="Model calls">
      <div className="table-frame" tabIndex={0} role="region" aria-label="Usage by step">
        <table>
          <thead>
            <tr>
              <th scope="col">Step</th>
              {["Input", "Cached", "Output", "Reasoning", "Cost"].map((name) => (
                <th key={name} scope="col" className="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(calls.data ?? []).map((call) => (
              <Sum key={call.name} name={call.name ?? "–"} usage={call.usage} />
            ))}
            {execution.execution_type === "team" && usage.input_tokens > 0 && calls.data && (
              <Sum name="Its members" usage={beyond(usage, calls.data)} />
            )}
          </tbody>
          <tfoot>
            <Sum name="All" usage={usage} />
          </tfoot>
        </table>
      </div>
    </Panel>
  );
}

/** What of a team's usage is its members': all but the calls of its own steps. */
function beyond(all: Usage, own: readonly UsageSum[]): Usage {
  const rest = (part: keyof Usage) => Math.max(0, own.reduce((left, call) => left - call.usage[part], all[part]));
  return {
    input_tokens: rest("input_tokens"),
    output_tokens: rest("output_tokens"),
    cached_tokens: rest("cached_tokens"),
    reasoning_tokens: rest("reasoning_tokens"),
    cost_usd: rest("cost_usd"),
  };
}

function Sum({ name, usage }: { name: string; usage: Execution["usage"] }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td className="number">{count(usage.input_tokens)}</td>
      <td className="number">{count(usage.cached_tokens)}</td>
      <td className="number">{count(usage.output_tokens)}</td>
      <td className="number">{count(usage.reasoning_tokens)}</td>
      <td className="number">{money(usage.cost_usd)}</td>
    </tr>
  );
}
