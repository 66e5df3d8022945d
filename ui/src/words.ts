// Numbers, times and states in words.

import type { Execution } from "./contracts";

const SIZES = ["B", "KB", "MB", "GB", "TB"];

export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return "–";
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < SIZES.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${SIZES[unit] ?? ""}`;
}

/** A span of milliseconds: "840 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function span(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? (Math.floor(s * 10) / 10).toFixed(1) : Math.floor(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(s % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function since(at: string | null | undefined, now: number): string {
  return at ? span(now - Date.parse(at)) : "–";
}

/** As `since`, of what is kept current: its parts of a second are no news. */
export function ago(at: string | null | undefined, now: number): string {
  if (!at) return "–";
  return now - Date.parse(at) < 1000 ? "just now" : `${since(at, now)} ago`;
}

/** How long until then. */
export function ahead(at: string | null | undefined, now: number): string {
  if (!at) return "–";
  const ms = Date.parse(at) - now;
  return ms <= 0 ? "now" : `in ${span(ms)}`;
}

export function clock(at: string | number | null | undefined): string {
  if (at === null || at === undefined) return "–";
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString(undefined, { hour12: false });
  return today ? time : `${date.toLocaleDateString(undefined, { month: "short", day: "numeric" })} ${time}`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-US");
}

export function money(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) return "–";
  return usd === 0 ? "$0" : `$${usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(2)}`;
}

export function pluralized(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Who runs it: an agent, a team, or a member of one. */
export function whoOf(run: Pick<Execution, "entity_name" | "entity_id" | "execution_type" | "team_name">): string {
  const name = run.entity_name ?? run.entity_id;
  if (run.execution_type === "team") return `team ${name}`;
  return run.team_name === null ? name : `${run.team_name}/${name}`;
}

export type Tone = "good" | "bad" | "warn" | "busy" | "calm";

const TONES: Record<string, Tone> = {
  completed: "good",
  fired: "good",
  skipped: "warn",
  missed: "bad",
  refused: "bad",
  active: "good",
  running: "busy",
  connected: "good",
  ok: "good",
  success: "good",
  failed: "bad",
  fail: "bad",
  lost: "bad",
  crash_looping: "bad",
  "crash-looping": "bad",
  unknown: "bad",
  denied: "bad",
  waiting_for_input: "warn",
  paused: "warn",
  warn: "warn",
  restarting: "warn",
  draining: "warn",
  stopping: "warn",
  connecting: "busy",
  pending: "busy",
  starting: "busy",
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? "calm";
}

export function shown(state: string): string {
  return state.replaceAll("_", " ");
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
