// The one place where the events of a run become what is shown, live and replayed alike. Pure: `reduce` copies what it
// changes and nothing else, once for a batch, so that 20,000 events open at once and 200 a second cost little.

import type {
  ApprovalRequested,
  ApprovalResolved,
  Done,
  ErrorRaised,
  Status,
  ToolCompleted,
  Usage,
} from "../contracts";
import { isDelta, type Delta, type Fact, type StreamEvent } from "./events";
import { Growing } from "./growing";
import { EMPTY, extended, whole, type Part } from "./part";

interface Attempted {
  readonly attempt: number;
  readonly began: number;
  readonly ended: number | null;
  /** Attempts before this one, superseded. */
  readonly earlier: readonly { readonly attempt: number; readonly began: number; readonly ended: number }[];
}

export interface ModelStep extends Attempted {
  readonly kind: "model";
  readonly step: number;
  readonly model: string | null;
  readonly message: Part;
  readonly reasoning: Part;
  readonly asked: number;
  readonly usage: Usage | null;
}

export interface ToolStep extends Attempted {
  readonly kind: "tool";
  readonly step: number;
  readonly name: string;
  readonly input: { readonly [name: string]: unknown };
  /** The run of the member that a delegation gives its task to. */
  readonly member: string | null;
  readonly output: Part;
  readonly result: ToolCompleted | null;
  readonly approval: ApprovalRequested | null;
  readonly answer: ApprovalResolved | null;
}

export interface Said {
  readonly kind: "said";
  readonly id: string;
  readonly text: string;
  readonly at: number;
}

export interface Note {
  readonly kind: "note";
  readonly id: string;
  readonly text: string;
  readonly at: number;
}

export type Item = ModelStep | ToolStep | Said | Note;

/** What was used so far, summed over the calls whose end is known. */
export interface Used {
  readonly input: number;
  readonly output: number;
  readonly cost: number | null;
  readonly calls: number;
}

/** A status and when it began, in milliseconds since 1970. */
export interface Phase {
  readonly status: Status;
  readonly reason: string | null;
  readonly at: number;
}

export interface Run {
  readonly items: readonly Item[];
  /** Where each step stands in `items`. */
  readonly places: Growing<number, number>;
  /** The names of the facts that were heard. */
  readonly said: Growing<string, true>;
  readonly facts: readonly Fact[];
  readonly used: Used;
  readonly phases: readonly Phase[];
  readonly error: ErrorRaised | null;
  readonly done: Done | null;
  readonly caughtUp: boolean;
}

export const NOTHING: Run = {
  items: [],
  places: new Growing(),
  said: new Growing(),
  facts: [],
  used: { input: 0, output: 0, cost: null, calls: 0 },
  phases: [],
  error: null,
  done: null,
  caughtUp: false,
};

/** `run` after these events, in their order. */
export function reduce(run: Run, events: readonly StreamEvent[]): Run {
  const draft = new Draft(run);
  for (const event of events) draft.take(event);
  return draft.run();
}

/** The answer of the last model step that said something. */
export function answerOf(run: Run): string {
  if (run.done) return run.done.response;
  const last = run.items.findLast((item) => item.kind === "model" && item.message.text !== "");
  return last?.kind === "model" ? last.message.text : "";
}

export function statusOf(run: Run): Phase | null {
  return run.phases.at(-1) ?? null;
}

/** Tool calls that wait for a person. */
export function open(run: Run): ToolStep[] {
  return run.items.filter((item): item is ToolStep => item.kind === "tool" && isOpen(item));
}

export function isOpen(step: ToolStep): boolean {
  return step.approval !== null && step.answer === null && step.result === null;
}

class Draft {
  private readonly items: Item[];
  private readonly places = new Map<number, number>();
  private readonly said = new Map<string, true>();
  private readonly facts: Fact[];
  private used: Used;
  private readonly phases: Phase[];
  private error: ErrorRaised | null;
  private done: Done | null;
  private caughtUp: boolean;

  constructor(private readonly before: Run) {
    const run = before;
    this.items = [...run.items];
    this.facts = [...run.facts];
    this.used = run.used;
    this.phases = [...run.phases];
    this.error = run.error;
    this.done = run.done;
    this.caughtUp = run.caughtUp;
  }

  run(): Run {
    const { items, facts, used, phases, error, done, caughtUp } = this;
    const places = this.before.places.with(this.places);
    const said = this.before.said.with(this.said);
    return { items, places, said, facts, used, phases, error, done, caughtUp };
  }

  take(event: StreamEvent): void {
    if (isDelta(event)) return this.takeDelta(event);
    switch (event.type) {
      case "connected":
      case "gap_detected": // what was missed is replayed next
        return;
      case "history_complete":
        this.caughtUp = true;
        return;
      default:
        if (this.isNew(event)) {
          this.facts.push(event);
          this.takeFact(event);
        }
    }
  }

  /** A fact that was sent again after a reconnect changes nothing. */
  private isNew(fact: Fact): boolean {
    const key = nameOf(fact);
    if (this.said.get(key) ?? this.before.said.get(key)) return false;
    this.said.set(key, true);
    return true;
  }

  private takeFact(fact: Fact): void {
    const at = Date.parse(fact.timestamp);
    switch (fact.type) {
      case "status":
        this.phases.push({ status: fact.status, reason: fact.reason, at });
        return;
      case "model_started":
        this.change(fact.step, fact.attempt, at, "model", (step) => ({ ...step, model: fact.model }));
        return;
      case "message":
        this.takeMessage(fact, at);
        return;
      case "tool_started":
        this.change(fact.step, fact.attempt, at, "tool", (step) => ({
          ...step,
          name: fact.tool_name,
          input: fact.tool_input,
          member: fact.member_execution_id,
          began: step.approval ? at : step.began,
        }));
        return;
      case "tool_completed":
        this.change(fact.step, fact.attempt, at, "tool", (step) => ({
          ...step,
          name: fact.tool_name,
          result: fact,
          ended: at,
        }));
        return;
      case "approval_requested":
        this.change(fact.step, 0, at, "tool", (step) => ({
          ...step,
          name: fact.tool_name,
          input: argumentsOf(fact),
          approval: fact,
        }));
        return;
      case "approval_resolved":
        this.change(fact.step, 0, at, "tool", (step) => ({ ...step, answer: fact }));
        return;
      case "degraded":
        this.items.push({ kind: "note", id: nameOf(fact), text: fact.reason, at });
        return;
      case "error":
        this.error = fact;
        return;
      case "done":
        this.done = fact;
        if (this.phases.at(-1)?.status !== fact.status) this.phases.push({ status: fact.status, reason: null, at });
        return;
      case "usage":
        this.takeUsage(fact);
        return;
      default:
        fact satisfies never; // a type that this page does not know
    }
  }

  private takeUsage({ input_tokens, output_tokens, cost_usd }: Extract<Fact, { type: "usage" }>): void {
    const { input, output, cost, calls } = this.used;
    this.used = {
      input: input + input_tokens,
      output: output + output_tokens,
      cost: cost_usd === null ? cost : (cost ?? 0) + cost_usd,
      calls: calls + 1,
    };
  }

  private takeMessage(fact: Extract<Fact, { type: "message" }>, at: number): void {
    if (fact.role !== "assistant") {
      this.items.push({ kind: "said", id: fact.message_id, text: fact.content, at });
      return;
    }
    this.change(fact.step, fact.attempt, at, "model", (step) => ({
      ...step,
      model: fact.model ?? step.model,
      message: whole(fact.content),
      reasoning: whole(fact.reasoning),
      asked: fact.tool_calls.length,
      usage: fact.usage,
      ended: at,
    }));
  }

  private takeDelta(delta: Delta): void {
    const at = Date.parse(delta.timestamp);
    const { step, attempt, offset, content } = delta;
    if (delta.type === "tool_output_chunk") {
      this.change(step, attempt, at, "tool", (tool) =>
        tool.ended === null ? { ...tool, output: extended(tool.output, offset, content) } : tool,
      );
      return;
    }
    const part = delta.type === "message_chunk" ? "message" : "reasoning";
    this.change(step, attempt, at, "model", (model) =>
      model.ended === null ? { ...model, [part]: extended(model[part], offset, content) } : model,
    );
  }

  /** Change a step, which begins with the first that is heard of it. A lower attempt than the known one is over: what
   * still comes of it is dropped; a higher one begins the step again. */
  private change<K extends keyof Steps>(
    number: number,
    attempt: number,
    at: number,
    kind: K,
    how: (step: Steps[K]) => Steps[K],
  ): void {
    const place = this.places.get(number) ?? this.before.places.get(number);
    if (place === undefined) {
      this.places.set(number, this.items.length);
      this.items.push(how(BEGUN[kind](number, attempt, at)));
      return;
    }
    if (this.items[place]?.kind !== kind) return;
    const known = this.items[place] as Steps[K];
    if (attempt > 0 && attempt < known.attempt) return;
    this.items[place] = how(attempt > known.attempt ? again(kind, known, attempt, at) : known);
  }
}

interface Steps {
  readonly model: ModelStep;
  readonly tool: ToolStep;
}

const BEGUN: { [K in keyof Steps]: (step: number, attempt: number, at: number) => Steps[K] } = {
  model: (step, attempt, began) => ({
    kind: "model",
    step,
    attempt,
    began,
    ended: null,
    earlier: [],
    model: null,
    message: EMPTY,
    reasoning: EMPTY,
    asked: 0,
    usage: null,
  }),
  tool: (step, attempt, began) => ({
    kind: "tool",
    step,
    attempt,
    began,
    ended: null,
    earlier: [],
    name: "",
    input: {},
    member: null,
    output: EMPTY,
    result: null,
    approval: null,
    answer: null,
  }),
};

/** What a step keeps when it begins again: what it is, and what a person was asked. */
const KEPT: { [K in keyof Steps]: (step: Steps[K]) => Partial<Steps[K]> } = {
  model: ({ model }) => ({ model }),
  tool: ({ name, input, member, approval, answer }) => ({ name, input, member, approval, answer }),
};

/** The same step at its next attempt; before the first one there is none to remember. */
function again<K extends keyof Steps>(kind: K, step: Steps[K], attempt: number, at: number): Steps[K] {
  const over = { attempt: step.attempt, began: step.began, ended: step.ended ?? at };
  const earlier = step.attempt === 0 ? step.earlier : [...step.earlier, over];
  return { ...BEGUN[kind](step.step, attempt, at), ...KEPT[kind](step), earlier };
}

/** What a call that needs an approval was to be made with: its arguments are the model's own text. */
function argumentsOf(asked: ApprovalRequested): ToolStep["input"] {
  const text = asked.tool_input["arguments"];
  try {
    const read: unknown = typeof text === "string" ? JSON.parse(text) : asked.tool_input;
    return typeof read === "object" && read !== null ? { ...read } : asked.tool_input;
  } catch {
    return asked.tool_input;
  }
}

/** As the log names a fact within its execution. */
function nameOf(fact: Fact): string {
  switch (fact.type) {
    case "approval_requested":
    case "approval_resolved":
      return `${fact.type}:${fact.approval_id}`;
    case "done":
      return "done";
    case "message":
      return fact.step === 0 ? `message:${fact.message_id}` : `message:${fact.step}.${fact.attempt}`;
    case "status":
    case "degraded":
      return `${fact.type}:${fact.step}.${fact.attempt}:${fact.timestamp}`;
    default:
      return `${fact.type}:${fact.step}.${fact.attempt}`;
  }
}
