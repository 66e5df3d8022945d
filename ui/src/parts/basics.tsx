// Small parts that every page uses.

import { useState, type ReactNode } from "react";

import type { Problem } from "../api";
import { useWorld } from "../context";
import { shown, toneOf, type Tone } from "../words";

export function Badge({ state, tone }: { state: string; tone?: Tone }) {
  return <span className={`badge ${tone ?? toneOf(state)}`}>{shown(state)}</span>;
}

export function Page({ title, aside, children }: { title: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <>
      <header className="page-head">
        <h1>{title}</h1>
        <div className="row">{aside}</div>
      </header>
      {children}
    </>
  );
}

export function Panel({
  title,
  aside,
  children,
  className = "",
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={`panel ${className}`}>
      {title !== undefined && (
        <header>
          <h2>{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <div>{children}</div>}
    </div>
  );
}

/** Why something is not there; what the banner above says already is not said again. */
export function Failure({ problem, again }: { problem: Problem; again?: () => void }) {
  const { live, isHeard } = useWorld();
  const isSaid = !isHeard || live?.connection.state === "lost";
  if (isSaid && problem.isForNow) return <p className="quiet">Not known for now. It comes by itself once it can be asked for.</p>;
  return (
    <div className="failure" role="alert">
      <p>{problem.message}</p>
      {problem.fix && <p className="quiet">{problem.fix}</p>}
      {again && <button onClick={again}>Try again</button>}
    </div>
  );
}

/** Name and value, side by side. */
export function Facts({ rows }: { rows: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? "–"}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Figure({ name, value, note, tone }: { name: string; value: ReactNode; note?: ReactNode; tone?: Tone }) {
  return (
    <div className="figure">
      <span className="figure-name">{name}</span>
      <span className={`figure-value ${tone ?? ""}`}>{value}</span>
      {note !== undefined && <span className="figure-note">{note}</span>}
    </div>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    });
  };
  return (
    <button className="small" onClick={copy}>
      {done ? "Copied" : label}
    </button>
  );
}

export function Tabs<T extends string>({
  of,
  chosen,
  choose,
  label,
}: {
  of: readonly (readonly [T, string])[];
  chosen: T;
  choose: (tab: T) => void;
  label: string;
}) {
  return (
    <div className="tabs" role="tablist" aria-label={label}>
      {of.map(([tab, name]) => (
        <button key={tab} role="tab" aria-selected={tab === chosen} onClick={() => choose(tab)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** A button that asks before it acts. */
export function Confirmed({
  name,
  question,
  act,
  className = "",
  not = null,
  children,
}: {
  name: string;
  question: string;
  act: () => Promise<unknown>;
  className?: string;
  /** What is asked for besides. */
  children?: ReactNode;
  /** Why it may not be done. */
  not?: string | null;
}) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const go = () => {
    setBusy(true);
    act()
      .then(() => setAsking(false))
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  const leave = () => {
    setAsking(false);
    setProblem(null);
  };
  return (
    <>
      <button className={className} disabled={not !== null} title={not ?? undefined} onClick={() => setAsking(true)}>
        {name}
      </button>
      {asking && (
        <div className="veil" onKeyDown={(event) => event.key === "Escape" && leave()}>
          <div className="dialog" role="alertdialog" aria-modal="true" aria-label={name}>
            <p>{question}</p>
            {children}
            {problem && (
              <p className="bad-text" role="alert">
                {problem}
              </p>
            )}
            <div className="row end">
              <button onClick={leave} disabled={busy}>
                Leave it
              </button>
              <button className="primary" onClick={go} disabled={busy} autoFocus={!children}>
                {busy ? "…" : name}
              </button>
            </div>
          </div>
        </div>
      )}
    </>
  );
}
