// When what happened: lanes of models, tools, waiting and attempts that were superseded; time without any of it is
// folded, so that an hour of waiting does not hide a second of work.

import { useMemo } from "react";

import type { Phase, Run } from "../stream/reducer";
import { clock, span } from "../words";

interface Bar {
  readonly lane: Lane;
  readonly from: number;
  readonly to: number;
  readonly name: string;
  readonly isBad: boolean;
}
type Lane = "Model" | "Tool" | "Waiting" | "Retry";

const LANES: readonly Lane[] = ["Model", "Tool", "Waiting", "Retry"];
const IDLE_MS = 3000;
/** What is left of a folded pause. */
const FOLDED_MS = 500;
const MOST_BARS = 2000;

export function Timeline({ run, now }: { run: Run; now: number }) {
  const end = run.done ? (run.phases.at(-1)?.at ?? now) : now;
  const bars = useMemo(() => barsOf(run, end), [run, end]);
  const scale = useMemo(() => scaleOf(bars), [bars]);
  if (bars.length === 0) return <p className="quiet pad">Nothing has happened yet.</p>;
  return (
    <div className="timeline" role="group" aria-label="Timeline">
      {LANES.map((lane) => (
        <div key={lane} className="lane">
          <span className="lane-name">{lane}</span>
          <svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={told(bars, lane)}>
            {scale.folds.map((fold) => (
              <rect key={fold} className="fold" x={scale.at(fold) * 1000} y="0" width={Math.max(3, scale.share(FOLDED_MS) * 1000)} height="16" />
            ))}
            {bars
              .filter((bar) => bar.lane === lane)
              .slice(0, MOST_BARS)
              .map((bar, index) => (
                <rect
                  key={index}
                  className={`bar ${lane.toLowerCase()} ${bar.isBad ? "bad" : ""}`}
                  x={scale.at(bar.from) * 1000}
                  width={Math.max(1.5, (scale.at(bar.to) - scale.at(bar.from)) * 1000)}
                  y="2"
                  height="12"
                >
                  <title>{`${bar.name}: ${span(bar.to - bar.from)}, at ${clock(bar.from)}`}</title>
                </rect>
              ))}
          </svg>
        </div>
      ))}
      <div className="lane quiet">
        <span className="lane-name" />
        <span className="grow">{clock(bars[0]?.from)}</span>
        {scale.folds.length > 0 && <span className="grow center">hatched: idle time, folded</span>}
        <span>{clock(end)}</span>
      </div>
    </div>
  );
}

function told(bars: readonly Bar[], lane: Lane): string {
  const own = bars.filter((bar) => bar.lane === lane);
  return `${lane}: ${own.length} times, ${span(own.reduce((sum, bar) => sum + bar.to - bar.from, 0))} in all`;
}

function barsOf(run: Run, end: number): Bar[] {
  const bars: Bar[] = waits(run.phases, end);
  for (const item of run.items) {
    if (item.kind !== "model" && item.kind !== "tool") continue;
    const lane: Lane = item.kind === "model" ? "Model" : "Tool";
    const name = item.kind === "model" ? (item.model ?? "model") : item.name;
    const isBad = item.kind === "tool" && item.result?.tool_status === "failed";
    if (item.attempt > 0) bars.push({ lane, from: item.began, to: item.ended ?? end, name: `step ${item.step}, ${name}`, isBad });
    for (const one of item.earlier) {
      bars.push({ lane: "Retry", from: one.began, to: one.ended, name: `attempt ${one.attempt} of step ${item.step}`, isBad: true });
    }
  }
  return bars.sort((one, other) => one.from - other.from);
}

function waits(phases: readonly Phase[], end: number): Bar[] {
  const waiting = new Set(["pending", "waiting_for_input", "paused"]);
  return phases.flatMap((phase, index) => {
    if (!waiting.has(phase.status)) return [];
    const to = phases[index + 1]?.at ?? end;
    return [{ lane: "Waiting" as const, from: phase.at, to, name: phase.reason ?? phase.status, isBad: false }];
  });
}

interface Scale {
  readonly at: (moment: number) => number;
  readonly share: (ms: number) => number;
  readonly folds: readonly number[];
}

/** Moments to 0…1, with every pause in which nothing worked cut down to the same short length. */
function scaleOf(bars: readonly Bar[]): Scale {
  const spans: [number, number][] = [];
  for (const bar of bars) {
    if (bar.lane === "Waiting") continue;
    const last = spans.at(-1);
    if (last && bar.from <= last[1] + IDLE_MS) last[1] = Math.max(last[1], bar.to);
    else spans.push([bar.from, bar.to]);
  }
  const [first, last] = [Math.min(...bars.map((bar) => bar.from)), Math.max(...bars.map((bar) => bar.to))];
  const edges: [number, number][] = [[first, first], ...spans, [last, last]];
  const starts: number[] = [];
  const folds: number[] = [];
  let length = 0;
  edges.forEach(([from, to], index) => {
    const gap = index === 0 ? 0 : from - (edges[index - 1]?.[1] ?? from);
    if (gap > IDLE_MS) folds.push(edges[index - 1]?.[1] ?? from);
    length += gap > IDLE_MS ? FOLDED_MS : gap;
    starts.push(length);
    length += to - from;
  });
  const whole = Math.max(1, length);
  const at = (moment: number) => {
    const index = Math.max(0, edges.findLastIndex(([from]) => from <= moment));
    const [from, to] = edges[index] ?? [first, first];
    const within = Math.min(moment, to) - from;
    const next = starts[index + 1];
    const beyond = moment > to && next !== undefined ? Math.min(moment - to, Math.max(0, next - (starts[index] ?? 0) - (to - from))) : 0;
    return ((starts[index] ?? 0) + within + beyond) / whole;
  };
  return { at, share: (ms) => ms / whole, folds };
}
