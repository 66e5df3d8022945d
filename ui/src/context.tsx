// What every page knows: the session, and the live snapshot of the machine.

import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from "react";

import { openSession, Problem } from "./api";
import type { ConsoleSession, Live } from "./contracts";
import { listen } from "./stream/source";

export interface World {
  readonly session: ConsoleSession;
  readonly live: Live | null;
  /** Whether the web interface itself answers; the browser tries again by itself. */
  readonly isHeard: boolean;
}

const Context = createContext<World | null>(null);

export function useWorld(): World {
  const world = useContext(Context);
  if (world === null) throw new Error("outside of <Provider>");
  return world;
}

/** The current time, to the second. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Why nothing is shown. `was` is whether this browser was let in before, `again` asks again. */
export interface Refusal {
  readonly problem: Problem;
  readonly was: boolean;
  readonly again: () => void;
}

export function Provider({ children, refused }: { children: ReactNode; refused: (refusal: Refusal) => ReactNode }) {
  const [was, setWas] = useState(false);
  const [session, setSession] = useState<ConsoleSession | Problem | null>(null);
  const [live, setLive] = useState<Live | null>(null);
  const [isHeard, setHeard] = useState(true);
  const open = useCallback(() => {
    openSession().then(setSession, (error: unknown) => {
      setSession(error instanceof Problem ? error : new Problem(0, String(error), null));
    });
  }, []);
  useEffect(open, [open]);
  const opened = session !== null && !(session instanceof Problem);
  useEffect(() => (opened ? follow(setLive, setHeard, setSession) : undefined), [opened]);
  useEffect(() => setWas((before) => before || opened), [opened]);
  if (session === null) return null;
  if (session instanceof Problem) return refused({ problem: session, was, again: open });
  return <Context.Provider value={{ session, live, isHeard }}>{children}</Context.Provider>;
}

function follow(
  setLive: (live: Live) => void,
  setHeard: (isHeard: boolean) => void,
  setSession: (session: ConsoleSession | Problem) => void,
): () => void {
  return listen({
    url: () => "/console/api/live",
    types: ["live"],
    take: (_, data) => setLive(JSON.parse(data) as Live),
    connected: (isConnected) => {
      setHeard(isConnected);
      // Another start of it has other tokens, and may not know us.
      openSession().then(setSession, (error: unknown) => {
        if (error instanceof Problem && error.status === 401) setSession(error);
      });
    },
  });
}
