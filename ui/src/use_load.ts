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

/** Asks when `key` changes, and each `everyMs`; what was known stays until the next answer. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Loaded<T> {
  const [data, set] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const once = () =>
      load(stop.signal)
        .then((answer) => {
          set(answer);
          setProblem(null);
        })
        .catch((error: unknown) => {
          if (!stop.signal.aborted) setProblem(error instanceof Problem ? error : new Problem(0, String(error), null));
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
    };
    // What `load` does is told by `key`.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, turn, everyMs]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  return { data, problem, isLoading, again, set };
}
