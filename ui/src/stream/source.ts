// Server-sent events that are never given up: a browser tries again when a connection breaks, but not when the answer
// is an error, as it is while the control plane is away.

import { BASE } from "../place";

const AGAIN_MS = 500;
const LONGEST_MS = 5000;

interface Hearer {
  /** The address, going on after the event of this id. */
  readonly url: (after: string) => string;
  readonly types: readonly string[];
  readonly take: (type: string, data: string) => void;
  readonly connected: (isConnected: boolean) => void;
}

/** Listen until the returned function is called. */
export function listen({ url, types, take, connected }: Hearer): () => void {
  let after = "";
  let source: EventSource;
  let timer = 0;
  let patience = AGAIN_MS;
  const open = () => {
    source = new EventSource(BASE + url(after));
    for (const type of types) {
      source.addEventListener(type, (event) => {
        // The browser's own "error" has no data; a run that failed tells of it by the same name.
        if (!(event instanceof MessageEvent)) return;
        if (event.lastEventId) after = event.lastEventId;
        take(type, String(event.data));
      });
    }
    source.onopen = () => {
      patience = AGAIN_MS;
      connected(true);
    };
    source.onerror = (event) => {
      if (event instanceof MessageEvent) return;
      connected(false);
      if (source.readyState !== EventSource.CLOSED) return;
      timer = window.setTimeout(open, patience);
      patience = Math.min(2 * patience, LONGEST_MS);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
