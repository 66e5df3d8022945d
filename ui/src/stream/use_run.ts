// The stream of one run as state: events are taken together once a frame.

import { useEffect, useState } from "react";

import { query } from "../api";
import { EVENT_TYPES, fromWire, type StreamEvent } from "./events";
import { NOTHING, reduce, type Run } from "./reducer";
import { listen } from "./source";

export interface Followed {
  readonly run: Run;
  /** When it is not, it is connected again, from where it was. */
  readonly isConnected: boolean;
}

const HIDDEN_MS = 250;
/** The past comes as fast as it can be read: drawing each frame of it would only make it later. */
const PAST_MS = 120;

export function useRun(id: string): Followed {
  const [followed, setFollowed] = useState<Followed>({ run: NOTHING, isConnected: false });
  useEffect(() => {
    setFollowed({ run: NOTHING, isConnected: false });
    return follow(id, setFollowed);
  }, [id]);
  return followed;
}

/** Follow until it is over or the returned function is called. */
function follow(id: string, set: (change: (before: Followed) => Followed) => void): () => void {
  let waiting: StreamEvent[] = [];
  let due = 0;
  let isPast = true;
  const flush = () => {
    due = 0;
    const events = waiting;
    waiting = [];
    set((before) => ({ ...before, run: reduce(before.run, events) }));
  };
  const connected = (isConnected: boolean) => set((before) => ({ ...before, isConnected }));
  const stop = listen({
    url: (after) => `/api/v1/executions/${encodeURIComponent(id)}/stream${query({ last_event_id: after })}`,
    types: EVENT_TYPES,
    connected,
    take: (type, data) => {
      const event = fromWire(type as StreamEvent["type"], data);
      waiting.push(event);
      if (event.type === "history_complete") isPast = false;
      // A page in the background draws no frames.
      const wait = document.hidden ? HIDDEN_MS : isPast ? PAST_MS : 0;
      due ||= wait > 0 ? window.setTimeout(flush, wait) : requestAnimationFrame(flush);
      if (event.type === "done") stop();
    },
  });
  return () => {
    stop();
    cancelAnimationFrame(due);
    clearTimeout(due);
  };
}
