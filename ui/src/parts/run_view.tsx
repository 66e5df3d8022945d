// A run as a conversation: what was said, thought and done, in its order; only what is seen is in the document.

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef, useState, type ReactNode } from "react";

import { Link } from "react-router";

import { get, post } from "../api";
import type { Execution } from "../contracts";
import { isOpen, type Item, type ModelStep, type Run, type ToolStep } from "../stream/reducer";
import { clock, span } from "../words";
import { useNow } from "../context";
import { useMay } from "../may";
import { useLoad } from "../use_load";
import { Badge, Copy } from "./basics";
import { useSticky } from "./use_sticky";
import { Code, Json, Markdown, Terminal } from "./text";

const LOOK_MS = 3000;

export function RunView({ id, run, aside }: { id: string; run: Run; aside?: ReactNode }) {
  const frame = useRef<HTMLDivElement>(null);
  const { sticks, ...sticky } = useSticky();
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const items = run.items;
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => frame.current,
    estimateSize: (index) => (items[index]?.kind === "tool" ? 46 : 90),
    // Rows are known by their place, which no item ever leaves. A function of ours for their keys would be another one
    // in each render, for which all rows are laid out anew.
    overscan: 8,
  });
  const height = rows.getTotalSize();
  useEffect(() => {
    const at = frame.current;
    if (at && sticks.current) at.scrollTop = at.scrollHeight;
  }, [run, height, sticks]);
  const toggle = (key: string, before: boolean) => setOpened((known) => new Map(known).set(key, !before));
  return (
    <div className="run-frame" ref={frame} {...sticky} tabIndex={0} role="region" aria-label="The run">
      <div className="run-inner" style={{ height }}>
        {rows.getVirtualItems().map((row) => {
          const item = items[row.index];
          if (!item) return null;
          const key = keyOf(item);
          const shown = opened.get(key) ?? (item.kind === "tool" && isOpen(item));
          return (
            <div
              key={row.key}
              data-index={row.index}
              ref={rows.measureElement}
              className="run-row"
              style={{ transform: `translateY(${row.start}px)` }}
            >
              <Shown item={item} id={id} shown={shown} toggle={() => toggle(key, shown)} isOver={run.done !== null} />
            </div>
          );
        })}
      </div>
      {aside}
    </div>
  );
}

function keyOf(item: Item): string {
  return item.kind === "model" || item.kind === "tool" ? `step-${item.step}` : `${item.kind}-${item.id}`;
}

interface ShownProps {
  item: Item;
  id: string;
  shown: boolean;
  toggle: () => void;
  isOver: boolean;
}

const Shown = memo(
  function Shown({ item, id, shown, toggle, isOver }: ShownProps) {
    switch (item.kind) {
      case "said":
        return (
          <article className="said">
            <Markdown text={item.text} />
          </article>
        );
      case "note":
        return <p className="note">{item.text}</p>;
      case "model":
        return <Answer step={item} isOver={isOver} shown={shown} toggle={toggle} />;
      case "tool":
        return <Tool step={item} id={id} shown={shown} toggle={toggle} isOver={isOver} />;
    }
  },
  (before, after) => before.item === after.item && before.shown === after.shown && before.isOver === after.isOver,
);

function Earlier({ step }: { step: ModelStep | ToolStep }) {
  if (step.earlier.length === 0) return null;
  return <span className="badge warn">attempt {step.attempt}: it began again</span>;
}

function Answer({ step, isOver, shown, toggle }: { step: ModelStep; isOver: boolean; shown: boolean; toggle: () => void }) {
  const isRunning = step.ended === null && !isOver;
  const { message, reasoning } = step;
  if (!message.text && !reasoning.text && !isRunning && step.earlier.length === 0) {
    return step.asked > 0 ? null : <p className="thought quiet">It said nothing</p>;
  }
  return (
    <article className="answer" aria-busy={isRunning}>
      <Earlier step={step} />
      {reasoning.text && (
        <div className="reasoning">
          <button className="fold" aria-expanded={shown || !message.text} onClick={toggle}>
            Reasoning
          </button>
          {(shown || !message.text) && <Markdown text={reasoning.text} />}
        </div>
      )}
      {message.text && <Markdown text={message.text} />}
      {isRunning && <span className="caret" aria-hidden="true" />}
    </article>
  );
}

const ICONS: Record<string, string> = { delegate: "→", shell: "›_", http: "⇄", read: "▤", write: "✎", list: "▤", search: "⌕" };

function iconOf(name: string): string {
  return Object.entries(ICONS).find(([part]) => name.includes(part))?.[1] ?? "◆";
}

function Tool({ step, id, shown, toggle, isOver }: { step: ToolStep; id: string; shown: boolean; toggle: () => void; isOver: boolean }) {
  const state = stateOf(step, isOver);
  return (
    <article className={`tool ${state}`}>
      <button className="tool-line" aria-expanded={shown} onClick={toggle}>
        <span className="icon" aria-hidden="true">
          {iconOf(step.name)}
        </span>
        <span className="tool-name">{step.name}</span>
        <code className="tool-main">{step.member ? taskOf(step.input) : mainArgument(step.input)}</code>
        <Earlier step={step} />
        <span className="number quiet">
          {step.result ? span(step.result.duration_ms) : state === "running" ? <Running since={step.began} /> : ""}
        </span>
        <Badge state={state} />
      </button>
      {step.member && <Member id={step.member} isRunning={state === "running"} />}
      {shown && <ToolBody step={step} />}
      {!shown && state === "running" && step.output.text && <Terminal text={step.output.text.slice(-2000)} />}
      {isOpen(step) && !isOver && <Approval id={id} step={step} />}
    </article>
  );
}

/** The run of a team's member: the way to it, and what it waits for while it does. */
function Member({ id, isRunning }: { id: string; isRunning: boolean }) {
  const looked = useLoad(
    `member ${id} ${isRunning}`,
    async (signal) => (isRunning ? await get<Execution>(`/api/v1/executions/${id}`, signal) : null),
    isRunning ? LOOK_MS : undefined,
  );
  const reason = isRunning ? looked.data?.status_reason : null;
  return (
    <p className="member-run">
      <Link to={`/executions/${id}`}>Its run</Link>
      {reason && <span className="quiet clip">waits for {reason}</span>}
    </p>
  );
}

function Running({ since }: { since: number }) {
  const now = useNow();
  return <>{span(now - since)}</>;
}

function stateOf(step: ToolStep, isOver: boolean): string {
  if (step.result) return step.result.outcome || step.result.tool_status;
  if (isOpen(step)) return isOver ? "calm" : "waiting";
  return isOver ? "stopped" : "running";
}

function ToolBody({ step }: { step: ToolStep }) {
  const output = outputOf(step);
  const command = step.input["command"];
  return (
    <div className="tool-body">
      <div className="part-head">
        <h3>Input</h3>
        <Copy text={typeof command === "string" ? command : JSON.stringify(step.input, null, 2)} />
      </div>
      {typeof command === "string" && Object.keys(step.input).length === 1 ? (
        <Code text={command} language="bash" />
      ) : (
        <Json value={step.input} />
      )}
      <div className="part-head">
        <h3>Output</h3>
        {output && <Copy text={output} />}
      </div>
      {output ? <Terminal text={output} isWhole={step.ended !== null} /> : <p className="quiet">Nothing</p>}
      {step.result?.tool_error && <p className="bad-text">{step.result.tool_error}</p>}
    </div>
  );
}

/** What the tool printed; once it is over, as the model reads it. */
function outputOf(step: ToolStep): string {
  if (!step.result) return step.output.text;
  const { tool_output, content } = step.result;
  for (const name of ["output", "stdout", "content", "text"]) {
    const text = tool_output[name];
    if (typeof text === "string" && text) return text;
  }
  return content || (Object.keys(tool_output).length ? JSON.stringify(tool_output, null, 2) : step.output.text);
}

function taskOf(input: ToolStep["input"]): string {
  return `${String(input["member"])}: ${String(input["task"]).split("\n", 1)[0] ?? ""}`;
}

function mainArgument(input: ToolStep["input"]): string {
  for (const name of ["command", "path", "url", "pattern", "query", "arguments"]) {
    const value = input[name];
    if (typeof value === "string") return value.split("\n", 1)[0] ?? "";
  }
  const first = Object.values(input).find((value) => typeof value === "string");
  return typeof first === "string" ? (first.split("\n", 1)[0] ?? "") : "";
}

function Approval({ id, step }: { id: string; step: ToolStep }) {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const not = useMay("run");
  const asked = step.approval;
  if (!asked) return null;
  const answer = (decision: "approved" | "denied") => {
    setBusy(true);
    const path = `/api/v1/executions/${id}/approvals/${encodeURIComponent(asked.approval_id)}`;
    post(path, { decision, reason: reason || null }).catch((error: unknown) => {
      setProblem(error instanceof Error ? error.message : String(error));
      setBusy(false);
    });
  };
  return (
    <div className="approval" role="group" aria-label={`Approval of ${asked.tool_name}`}>
      <p>
        The agent wants to do this, and waits for you until {clock(asked.expires_at)}.
      </p>
      <div className="row">
        <input aria-label="Reason" placeholder="Reason (the model reads it)" value={reason} onChange={(event) => setReason(event.target.value)} />
        <button className="primary" disabled={busy || not !== null} title={not ?? undefined} onClick={() => answer("approved")}>
          Approve
        </button>
        <button disabled={busy || not !== null} title={not ?? undefined} onClick={() => answer("denied")}>
          Deny
        </button>
      </div>
      {(problem ?? not) && <p className="bad-text">{problem ?? not}</p>}
    </div>
  );
}
