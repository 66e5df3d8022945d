// The stream of one run as state: events are taken together once a frame.

import { useEffect, useState } from "react";

import { EVENT_TYPES, fromWire, type StreamEvent } from "./events";
import { NOTHING, reduce, type Run } from "./reducer";

export interface Followed {
  readonly run: Run;
  /** The browser connects again by itself, from where it was. */
  readonly isConnected: boolean;
}

const HIDDEN_MS = 250;

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
  const source = new EventSource(`/api/v1/executions/${encodeURIComponent(id)}/stream`);
  let waiting: StreamEvent[] = [];
  let due = 0;
  const flush = () => {
    due = 0;
    const events = waiting;
    waiting = [];
    set((before) => ({ ...before, run: reduce(before.run, events) }));
  };
  const connected = (isConnected: boolean) => set((before) => ({ ...before, isConnected }));
  const take = (event: MessageEvent<string>) => {
    const read = fromWire(event.type as StreamEvent["type"], event.data);
    waiting.push(read);
    // A page in the background draws no frames.
    due ||= document.hidden ? window.setTimeout(flush, HIDDEN_MS) : requestAnimationFrame(flush);
    if (read.type === "done") {
      source.close();
      connected(true);
    }
  };
  // A run that failed tells of it in an event named "error", as the browser names its own: only that one has data.
  for (const type of EVENT_TYPES) {
    source.addEventListener(type, (event) => {
      if (event instanceof MessageEvent) take(event as MessageEvent<string>);
    });
  }
  source.onopen = () => connected(true);
  source.onerror = (event) => {
    if (!(event instanceof MessageEvent)) connected(false);
  };
  return () => {
    source.close();
    if (due) {
      cancelAnimationFrame(due);
      clearTimeout(due);
    }
  };
}
