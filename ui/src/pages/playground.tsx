import { useState, type FormEvent } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";

import { get, post } from "../api";
import type { Agent, Model, Queue, Submitted, Team } from "../contracts";
import { useWorld } from "../context";
import { useMay } from "../may";
import { Empty, Page } from "../parts/basics";
import { RunLive } from "../parts/run_live";
import { useRun } from "../stream/use_run";
import { useLoad } from "../use_load";

export default function Playground() {
  const { id } = useParams();
  return (
    <Page title="Playground">
      <div className="playground">
        <Start />
        {id === undefined ? (
          <Empty title="Nothing runs here yet">
            Choose an agent or a team, say what it is to do, and watch it: its reasoning, its tools with their output, and its answer, as
            they come.
          </Empty>
        ) : (
          <Followed key={id} id={id} />
        )}
      </div>
    </Page>
  );
}

function Followed({ id }: { id: string }) {
  const { run, isConnected } = useRun(id);
  return <RunLive id={id} run={run} isConnected={isConnected} />;
}

interface Wish {
  /** `agents/ID` or `teams/ID`. */
  readonly who: string;
  readonly queue: string;
  readonly model: string;
  readonly directory: string;
  readonly variables: string;
  readonly prompt: string;
  readonly interactive: boolean;
}

function Start() {
  const { live } = useWorld();
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const not = useMay("run");
  const agents = useLoad("agents", (signal) => get<readonly Agent[]>("/api/v1/agents?limit=200", signal));
  const teams = useLoad("teams", (signal) => get<readonly Team[]>("/api/v1/teams?limit=200", signal));
  const models = useLoad("models", (signal) => get<readonly Model[]>("/api/v1/models?limit=200", signal));
  const queues = useLoad("queues", (signal) => get<readonly Queue[]>("/api/v1/worker-queues?limit=200", signal));
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [wish, setWish] = useState<Wish>({
    who: params.has("team") ? `teams/${params.get("team")}` : `agents/${params.get("agent") ?? "default"}`,
    queue: params.get("queue") ?? "",
    model: params.get("model") ?? "",
    directory: params.get("cwd") ?? "",
    variables: "",
    prompt: params.get("prompt") ?? "",
    interactive: false,
  });
  const set = (field: keyof Wish) => (event: { target: { value: string } }) =>
    setWish((before) => ({ ...before, [field]: event.target.value }));
  const served = new Set(live?.workers.map((worker) => worker.listed.queue));
  const names = [...new Set([...served, ...(queues.data ?? []).filter((queue) => !queue.ephemeral).map((queue) => queue.name)])];
  const isListed =
    agents.data?.some((agent) => `agents/${agent.id}` === wish.who) || teams.data?.some((team) => `teams/${team.id}` === wish.who);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    start(wish)
      .then((submitted) => navigate(`/playground/${submitted.id}`))
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  return (
    <form className="start panel" onSubmit={submit}>
      <div className="fields">
        <label>
          Agent or team
          <select value={wish.who} onChange={set("who")}>
            <Choices label="Agents" path="agents" of={agents.data ?? []} />
            <Choices label="Teams" path="teams" of={teams.data ?? []} />
            {!isListed && <option value={wish.who}>{wish.who.slice(wish.who.indexOf("/") + 1)}</option>}
          </select>
        </label>
        <label>
          Queue
          <select value={wish.queue} onChange={set("queue")}>
            <option value="">any with a live worker, or one on demand</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Model
          <select value={wish.model} onChange={set("model")}>
            <option value="">its own</option>
            {(models.data ?? []).map((model) => (
              <option key={model.id} value={model.value}>
                {model.label || model.value}
              </option>
            ))}
          </select>
        </label>
        <label>
          Working directory
          <input placeholder="the worker’s own" value={wish.directory} onChange={set("directory")} spellCheck={false} />
        </label>
      </div>
      <details>
        <summary>Environment of its tools</summary>
        <textarea
          aria-label="Environment variables, NAME=value, one a line"
          placeholder="NAME=value, one a line"
          rows={3}
          value={wish.variables}
          onChange={set("variables")}
          spellCheck={false}
        />
      </details>
      <label>
        Prompt
        <textarea
          rows={4}
          required
          value={wish.prompt}
          onChange={set("prompt")}
          placeholder="What is it to do?"
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
          }}
        />
      </label>
      <div className="row">
        <label className="check">
          <input
            type="checkbox"
            checked={wish.interactive}
            onChange={(event) => setWish((before) => ({ ...before, interactive: event.target.checked }))}
          />
          Stay for follow-up messages
        </label>
        <span className="grow" />
        <button className="primary" disabled={busy || not !== null || !wish.prompt.trim()} title={not ?? undefined}>
          {busy ? "Starting" : "Run"} <kbd>Ctrl ↵</kbd>
        </button>
      </div>
      {not && <p className="quiet">{not}</p>}
      {problem && (
        <p className="bad-text" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

function Choices({ label, path, of }: { label: string; path: string; of: readonly { id: string; name: string }[] }) {
  if (of.length === 0) return null;
  return (
    <optgroup label={label}>
      {of.map(({ id, name }) => (
        <option key={id} value={`${path}/${id}`}>
          {name}
        </option>
      ))}
    </optgroup>
  );
}

async function start(wish: Wish): Promise<Submitted> {
  const variables = variablesOf(wish.variables);
  const [kind = "", ref = ""] = wish.who.split(/\/(.*)/s);
  return post<Submitted>(`/api/v1/${kind}/${encodeURIComponent(ref)}/execute`, {
    prompt: wish.prompt,
    ...(wish.queue ? { worker_queue_id: wish.queue } : {}),
    ...(wish.model ? { model: wish.model } : {}),
    execution_environment: { ...(wish.directory ? { working_dir: wish.directory } : {}), env_vars: variables },
    execution_metadata: wish.interactive ? { interactive: true } : {},
  });
}

function variablesOf(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line.trim());
  const bad = lines.find((line) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(line));
  if (bad !== undefined) throw new Error(`“${bad}” is not NAME=value`);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}
