// The facts of a run as they are stored.

import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";

import type { Run } from "../stream/reducer";
import { clock } from "../words";
import { Copy } from "./basics";
import { Json } from "./text";

export function EventsView({ run }: { run: Run }) {
  const frame = useRef<HTMLDivElement>(null);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<number | null>(null);
  const wanted = text.toLowerCase();
  const facts = wanted ? run.facts.filter((fact) => JSON.stringify(fact).toLowerCase().includes(wanted)) : run.facts;
  const rows = useVirtualizer({
    count: facts.length,
    getScrollElement: () => frame.current,
    estimateSize: () => 28,
    overscan: 20,
  });
  const shown = chosen === null ? undefined : facts[chosen];
  return (
    <div className="events">
      <div className="row pad">
        <input type="search" aria-label="Search events" placeholder="Search  /" value={text} onChange={(event) => setText(event.target.value)} />
        <span className="quiet">{facts.length.toLocaleString("en-US")} facts; chunks are not kept once the fact that ends them is</span>
        <span className="grow" />
        <Copy label="Copy all" text={facts.map((fact) => JSON.stringify(fact)).join("\n")} />
      </div>
      <div className="events-frame" ref={frame} tabIndex={0} role="region" aria-label="Events">
        <div className="run-inner" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((row) => {
            const fact = facts[row.index];
            if (!fact) return null;
            return (
              <button
                key={row.index}
                className={`event-line ${row.index === chosen ? "here" : ""}`}
                style={{ transform: `translateY(${row.start}px)` }}
                onClick={() => setChosen(row.index)}
              >
                <span className="number quiet">{clock(fact.timestamp)}</span>
                <code>{fact.type}</code>
                <span className="quiet">
                  {fact.step > 0 && `step ${fact.step}`}
                  {fact.attempt > 1 && `, attempt ${fact.attempt}`}
                </span>
              </button>
            );
          })}
        </div>
      </div>
      {shown && <Json value={shown} />}
    </div>
  );
}
