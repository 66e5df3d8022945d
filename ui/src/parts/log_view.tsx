// Lines of a log: the past as one scrolls up, the present as it comes. Only what is seen is in the document.

import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type UIEvent } from "react";

import { get, query } from "../api";
import type { LogLine, LogPage } from "../contracts";
import { listen } from "../stream/source";
import { ansi } from "./text";
import { useSticky } from "./use_sticky";

export interface LogFilter {
  readonly level?: string | undefined;
  readonly text?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

const PAGE = 500;
/** What is kept in memory: beyond it, what is older is found by searching, or by a time. */
const KEPT = 100_000;
const ROW_PX = 20;
const NEAR_PX = 400;
/** A log that is not there may come, and so may a web interface. */
const AGAIN_MS = 2000;

export function LogView({
  source,
  filter = {},
  follow = true,
  className = "",
}: {
  source: string;
  filter?: LogFilter;
  follow?: boolean;
  className?: string;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const { lines, isLoading, hasBefore, loadBefore, problem } = useLines(source, filter, follow);
  const { sticks, onScroll, onWheel } = useSticky();
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const shown = rows.getVirtualItems();
  const first = lines[0]?.cursor;
  const anchor = useRef<{ first: string | undefined; count: number }>({ first, count: 0 });
  useLayoutEffect(() => {
    const grown = lines.length - anchor.current.count;
    const isOlder = anchor.current.first !== undefined && anchor.current.first !== first && grown > 0;
    anchor.current = { first, count: lines.length };
    if (sticks.current) rows.scrollToIndex(lines.length - 1, { align: "end" });
    // What was read stays where it was when older lines come before it.
    else if (isOlder && frame.current) frame.current.scrollTop += grown * ROW_PX;
  }, [lines, first, rows, sticks]);
  const scrolled = (event: UIEvent<HTMLElement>) => {
    onScroll(event);
    if (event.currentTarget.scrollTop < NEAR_PX && hasBefore && !isLoading) loadBefore();
  };
  useEffect(() => {
    // What was found so far does not fill the frame, so that nobody can scroll: look further back.
    if (hasBefore && !isLoading && problem === null && lines.length * ROW_PX < (frame.current?.clientHeight ?? 0) + NEAR_PX) loadBefore();
  }, [hasBefore, isLoading, problem, lines.length, loadBefore]);
  return (
    <div className={`log ${className}`}>
      <div className="log-frame" ref={frame} onScroll={scrolled} onWheel={onWheel} tabIndex={0} role="log" aria-live="off" aria-label={`Log ${source}`}>
        <div className="log-inner" style={{ height: rows.getTotalSize() }}>
          {shown.map((row) => {
            const line = lines[row.index];
            return (
              // Elements that scroll out come in again at the other end: to make new ones each frame would cost twice.
              <div key={row.index % shown.length} className={`log-line ${line?.level ?? ""}`} style={{ transform: `translateY(${row.start}px)` }}>
                {ansi(line?.text ?? "")}
              </div>
            );
          })}
        </div>
        {problem && <p className="quiet pad">{problem}</p>}
        {lines.length === 0 && !problem && (
          <p className="quiet pad">{isLoading || hasBefore ? "Searching…" : "No line of this log is like that."}</p>
        )}
      </div>
    </div>
  );
}

function useLines(source: string, filter: LogFilter, follow: boolean) {
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [before, setBefore] = useState<string | null>(null);
  const [after, setAfter] = useState<string | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [problem, setProblem] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  const older = useRef<AbortController | null>(null);
  const { level, text, since, until } = filter;
  const load = useCallback(
    (place: { before?: string }, signal?: AbortSignal) =>
      get<LogPage>(
        `/console/api/logs/lines${query({ source, level, text, since, until, limit: PAGE, ...place })}`,
        signal,
      ),
    [source, level, text, since, until],
  );
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    setLoading(true);
    load({}, stop.signal)
      .then((page) => {
        setLines(page.lines);
        setBefore(page.before);
        setAfter(page.after ?? page.lines.at(-1)?.cursor ?? "");
        setProblem(null);
        setLoading(false);
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        setProblem(error instanceof Error ? error.message : String(error));
        setLoading(false);
        timer = window.setTimeout(() => setTurn((before) => before + 1), AGAIN_MS);
      });
    return () => {
      stop.abort();
      clearTimeout(timer);
      older.current?.abort();
      older.current = null;
    };
  }, [load, turn]);
  const loadBefore = useCallback(() => {
    // Asked for once, however often the frame is scrolled before it is there.
    if (before === null || older.current !== null) return;
    const stop = new AbortController();
    older.current = stop;
    setLoading(true);
    load({ before }, stop.signal)
      .then((page) => {
        if (stop.signal.aborted) return;
        older.current = null;
        setProblem(null);
        setLines((known) => [...page.lines, ...known].slice(-KEPT));
        setBefore(page.before);
        setLoading(false);
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        older.current = null;
        setProblem(error instanceof Error ? error.message : String(error));
        setLoading(false);
      });
  }, [before, load]);
  useEffect(() => {
    if (!follow || until || after === null) return;
    const wanted = matcher(level, text);
    let seen = after;
    return listen({
      url: () => `/console/api/logs/stream${query({ source, after: seen })}`,
      types: ["lines"],
      connected: () => undefined,
      take: (_, data) => {
        const { lines: news } = JSON.parse(data) as { lines: LogLine[] };
        seen = news.at(-1)?.cursor ?? seen;
        const fresh = news.filter(wanted);
        if (fresh.length) setLines((known) => [...known, ...fresh].slice(-KEPT));
      },
    });
  }, [source, after, follow, level, text, until]);
  return { lines, isLoading, hasBefore: before !== null && lines.length < KEPT, loadBefore, problem };
}

const ORDER = ["DEBUG", "INFO", "WARN", "ERROR"];

/** As the server filters the past: this level or a graver one, and the text, whatever its case. */
function matcher(level: string | undefined, text: string | undefined): (line: LogLine) => boolean {
  const least = level ? ORDER.indexOf(level) : -1;
  const wanted = text?.toLowerCase() ?? "";
  return (line) =>
    (least < 0 || ORDER.indexOf(line.level ?? "") >= least) && line.text.toLowerCase().includes(wanted);
}
