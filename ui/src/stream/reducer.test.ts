import { describe, expect, it } from "vitest";

import { fromWire, type StreamEvent } from "./events";
import { EMPTY, extended } from "./part";
import { NOTHING, answerOf, open, reduce, statusOf, type Run } from "./reducer";

const AT = "2026-01-01T00:00:00Z";

function event(type: StreamEvent["type"], fields: object): StreamEvent {
  return fromWire(type, JSON.stringify({ timestamp: AT, step: 1, attempt: 1, ...fields }));
}

function chunk(content: string, offset: number, attempt = 1): StreamEvent {
  return event("message_chunk", { attempt, data: { content, offset, message_id: "msg-1" } });
}

function message(content: string, attempt = 1): StreamEvent {
  return event("message", {
    attempt,
    role: "assistant",
    content,
    reasoning: "",
    message_id: "msg-1",
    tool_calls: [],
    usage: null,
    model: "m",
  });
}

const of = (...events: StreamEvent[]): Run => reduce(NOTHING, events);

describe("parts", () => {
  it("count characters as the server does", () => {
    const part = extended(extended(EMPTY, 0, "a😀"), 2, "b");
    expect(part).toEqual({ text: "a😀b", length: 3 });
    expect(extended(part, 1, "😀bc")).toEqual({ text: "a😀bc", length: 4 });
    expect(extended(part, 0, "a😀")).toBe(part);
  });
});

describe("a run", () => {
  it("shows chunks as they come, and the whole in their place", () => {
    const live = of(event("model_started", { model: "m" }), chunk("Hel", 0), chunk("lo", 3));
    expect(answerOf(live)).toBe("Hello");
    expect(answerOf(reduce(live, [message("Hello!")]))).toBe("Hello!");
    expect(answerOf(reduce(live, [message("Hello!"), chunk("late", 5)]))).toBe("Hello!");
  });

  it("never shows two attempts of a step", () => {
    const run = of(chunk("first", 0), chunk("second", 0, 2), chunk("first again", 0), message("second try", 2));
    expect(answerOf(run)).toBe("second try");
    const [step] = run.items;
    expect(run.items).toHaveLength(1);
    expect(step?.kind === "model" && step.earlier.map((one) => one.attempt)).toEqual([1]);
  });

  it("knows the run of a member that was given a task, also once the call begins again", () => {
    const started = (attempt: number) =>
      event("tool_started", {
        step: 2,
        attempt,
        data: { tool_name: "delegate", tool_execution_id: "tool-2", tool_input: {}, member_execution_id: "e2" },
      });
    const [step] = of(started(1), started(2)).items;
    expect(step?.kind === "tool" && step.member).toBe("e2");
  });

  it("is the same however its events are cut into batches, and whatever is sent again", () => {
    const events = [
      event("status", { status: "pending", reason: "a worker" }),
      event("message", { step: 0, role: "user", content: "go", message_id: "p", tool_calls: [] }),
      event("status", { status: "running", timestamp: "2026-01-01T00:00:01Z" }),
      event("model_started", { model: "m" }),
      chunk("a", 0),
      chunk("b", 1),
      event("usage", { model: "m", input_tokens: 3, output_tokens: 2, cost_usd: 0.5 }),
      message("ab"),
      event("tool_started", { step: 2, data: { tool_name: "shell", tool_execution_id: "t", tool_input: { command: "ls" } } }),
      event("tool_output_chunk", { step: 2, data: { tool_execution_id: "t", content: "x", offset: 0 } }),
      event("tool_completed", {
        step: 2,
        data: { tool_name: "shell", tool_execution_id: "t", tool_status: "success", tool_output: {}, duration_ms: 3 },
      }),
      event("done", { step: 0, status: "completed", response: "ab", execution_id: "e" }),
    ];
    const whole = of(...events);
    for (let at = 0; at <= events.length; at++) {
      expect(reduce(reduce(NOTHING, events.slice(0, at)), events.slice(at))).toEqual(whole);
      const returned = reduce(reduce(NOTHING, events.slice(0, at)), events.slice(Math.max(0, at - 4)));
      expect(returned.items).toEqual(whole.items);
      expect(returned.facts).toEqual(whole.facts);
    }
    expect(whole.used).toEqual({ input: 3, output: 2, cost: 0.5, calls: 1 });
    expect(statusOf(whole)?.status).toBe("completed");
  });

  it("knows which calls wait for a person", () => {
    const asked = of(
      event("approval_requested", { step: 2, attempt: 1, approval_id: "a", tool_name: "shell", tool_input: {}, expires_at: AT }),
    );
    expect(open(asked).map((step) => step.name)).toEqual(["shell"]);
    const answered = reduce(asked, [event("approval_resolved", { step: 2, approval_id: "a", decision: "denied" })]);
    expect(open(answered)).toEqual([]);
    const began = reduce(answered, [
      event("tool_started", { step: 2, data: { tool_name: "shell", tool_execution_id: "t", tool_input: { command: "ls" } } }),
    ]);
    const [step] = began.items;
    expect(step?.kind === "tool" && step.input).toEqual({ command: "ls" });
    expect(step?.kind === "tool" && step.earlier).toEqual([]);
  });

  it("stays quick with 20,000 events", () => {
    const events = Array.from({ length: 10_000 }, (_, index) => [
      event("model_started", { step: index + 1, model: "m" }),
      { ...message(`answer ${index}`), step: index + 1 } as StreamEvent,
    ]).flat();
    let run = NOTHING;
    for (let at = 0; at < events.length; at += 500) run = reduce(run, events.slice(at, at + 500));
    expect(run.items).toHaveLength(10_000);
    expect(run.facts).toHaveLength(20_000);
  });
});
