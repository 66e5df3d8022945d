// A request whose answer is state.

import { useCallback, useEffect, useState } from "react";

import { Problem } from "./api";

export interface Loaded<T> {
  readonly data: T | null;
  readonly problem: Problem | null;
  readonly isLoading: boolean;
  readonly again: () => void;
  readonly set: (data: T) => void;
}

const AGAIN_MS = 3000;

/** Asks when `key` changes, each `everyMs`, and again after nobody answered; what was known stays until the next answer. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Loaded<T> {
  const [data, set] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let later = 0;
    const once = () =>
      load(stop.signal)
        .then((answer) => {
          if (stop.signal.aborted) return; // an old answer, which came after what it is about had changed
          set(answer);
          setProblem(null);
        })
        .catch((error: unknown) => {
          if (stop.signal.aborted) return;
          const found = error instanceof Problem ? error : new Problem(0, String(error), null);
          setProblem(found);
          if (found.isForNow && !everyMs) later = window.setTimeout(() => void once(), AGAIN_MS);
        })
        .finally(() => {
          if (!stop.signal.aborted) setLoading(false);
        });
    setLoading(true);
    void once();
    const timer = everyMs ? setInterval(() => void once(), everyMs) : undefined;
    return () => {
      stop.abort();
      clearInterval(timer);
      clearTimeout(later);
    };
    // What `load` does is told by `key`.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, turn, everyMs]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  return { data, problem, isLoading, again, set };
}
