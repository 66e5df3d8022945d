// A run that goes on, or went: its state, its conversation, and what can be done about it.

import { useState } from "react";
import { Link } from "react-router";

import { get, post } from "../api";
import type { Execution } from "../contracts";
import { useNow } from "../context";
import { useMay } from "../may";
import { statusOf, type Run } from "../stream/reducer";
import { useLoad } from "../use_load";
import { count, money, span } from "../words";
import { Badge } from "./basics";
import { RunView } from "./run_view";

const LOOK_MS = 2000;

interface Props {
  id: string;
  run: Run;
  isConnected: boolean;
  /** Whether the page around it tells of the failure, and of more. */
  isPart?: boolean;
}

export function RunLive({ id, run, isConnected, isPart = false }: Props) {
  return (
    <div className="live-run">
      <RunBar id={id} run={run} isConnected={isConnected} isPart={isPart} />
      {run.error && !isPart && (
        <div className="failure" role="alert">
          <p>
            <strong>{run.error.error_type}</strong>: {run.error.error}
          </p>
        </div>
      )}
      <RunView id={id} run={run} />
      <Steering id={id} run={run} />
    </div>
  );
}

function RunBar({ id, run, isConnected, isPart }: Required<Props>) {
  const now = useNow();
  const phase = statusOf(run);
  const usage = run.used;
  const began = run.phases[0]?.at ?? now;
  const ended = run.done ? (run.phases.at(-1)?.at ?? now) : now;
  const done = run.done?.usage;
  return (
    <div className="run-bar">
      <Badge state={phase?.status ?? "connecting"} />
      {!run.done && <Waiting id={id} run={run} />}
      <span className="grow" />
      {!isConnected && !run.done && <span className="badge warn">connecting again</span>}
      <span title="Duration">{phase ? span(ended - began) : "–"}</span>
      <span title="Tokens in and out">
        {count(done?.input_tokens ?? usage.input)} → {count(done?.output_tokens ?? usage.output)} tokens
      </span>
      <span title="Cost">{money(done?.cost_usd ?? usage.cost)}</span>
      {!isPart && <Link to={`/executions/${id}`}>Details</Link>}
    </div>
  );
}

/** What it waits for, as the control plane knows it now. */
function Waiting({ id, run }: { id: string; run: Run }) {
  const isStill = run.items.length < 2 || statusOf(run)?.status !== "running";
  const looked = useLoad(
    `${id} ${isStill}`,
    async (signal) => (isStill ? await get<Execution>(`/api/v1/executions/${id}`, signal) : null),
    isStill ? LOOK_MS : undefined,
  );
  const reason = looked.data?.status_reason ?? statusOf(run)?.reason;
  return reason && isStill ? <span className="quiet clip">waits for {reason}</span> : null;
}

function Steering({ id, run }: { id: string; run: Run }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const not = useMay("run");
  const status = statusOf(run)?.status;
  if (run.done || status === undefined) return null;
  if (not !== null) return <p className="quiet steering">{not}</p>;
  const tell = (path: string, body: unknown = {}) => {
    setProblem(null);
    return post(`/api/v1/executions/${id}/${path}`, body).catch((error: unknown) =>
      setProblem(error instanceof Error ? error.message : String(error)),
    );
  };
  const send = () => {
    if (text.trim()) void tell("message", { message: text }).then(() => setText(""));
  };
  return (
    <form
      className="steering"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <input aria-label="Follow-up message" placeholder="Say something more to the agent" value={text} onChange={(event) => setText(event.target.value)} />
      <button type="submit" disabled={!text.trim()}>
        Send
      </button>
      {status === "waiting_for_input" && (
        <button type="button" onClick={() => void tell("mark-done")}>
          Finish
        </button>
      )}
      {status === "paused" ? (
        <button type="button" onClick={() => void tell("resume")}>
          Resume
        </button>
      ) : (
        <button type="button" onClick={() => void tell("pause")}>
          Pause
        </button>
      )}
      <button type="button" className="danger" onClick={() => void tell("cancel")}>
        Stop
      </button>
      {problem && (
        <p className="bad-text" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
