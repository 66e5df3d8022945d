// What a reader of a run's stream can meet, flattened: some types nest their fields in a `data` object on the wire.

import type {
  ApprovalRequested,
  ApprovalResolved,
  Connected,
  Degraded,
  Done,
  ErrorRaised,
  GapDetected,
  HistoryComplete,
  MessageAdded,
  MessageChunk,
  ModelStarted,
  ReasoningChunk,
  StatusChanged,
  ToolCompleted,
  ToolOutputChunk,
  ToolStarted,
  UsageReported,
} from "../contracts";

export type Fact =
  | StatusChanged
  | ModelStarted
  | MessageAdded
  | ToolStarted
  | ToolCompleted
  | ApprovalRequested
  | ApprovalResolved
  | UsageReported
  | Degraded
  | ErrorRaised
  | Done;
export type Delta = MessageChunk | ReasoningChunk | ToolOutputChunk;
export type Marker = Connected | HistoryComplete | GapDetected;
export type StreamEvent = Fact | Delta | Marker;

// A type that is missing here would never be heard; the record makes the compiler ask for it.
const HEARD: Record<StreamEvent["type"], true> = {
  status: true,
  model_started: true,
  message: true,
  tool_started: true,
  tool_completed: true,
  approval_requested: true,
  approval_resolved: true,
  usage: true,
  degraded: true,
  error: true,
  done: true,
  message_chunk: true,
  reasoning_chunk: true,
  tool_output_chunk: true,
  connected: true,
  history_complete: true,
  gap_detected: true,
};
export const EVENT_TYPES = Object.keys(HEARD) as StreamEvent["type"][];

/** The event of a line of the stream. */
export function fromWire(type: StreamEvent["type"], text: string): StreamEvent {
  const read = JSON.parse(text) as Record<string, unknown>;
  const nested = read["data"];
  const flat = typeof nested === "object" && nested !== null ? { ...read, ...nested } : read;
  return { ...flat, type } as StreamEvent;
}

export function isDelta(event: StreamEvent): event is Delta {
  return event.type.endsWith("_chunk");
}
