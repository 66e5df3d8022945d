// A table of rows that are links: j and k go through them, Enter opens one.

import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import { useNavigate } from "react-router";

import { isTyping } from "../keys";

export interface Column<T> {
  readonly name: string;
  readonly cell: (row: T) => ReactNode;
  /** What the server sorts by; none where it cannot. */
  readonly sort?: string;
  readonly className?: string;
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  to?: (row: T) => string;
  sort?: string;
  setSort?: (sort: string) => void;
}

export function Table<T>({ label, rows, columns, keyOf, to, sort, setSort }: Props<T>) {
  const [at, setAt] = useState(-1);
  const body = useRef<HTMLTableSectionElement>(null);
  const navigate = useNavigate();
  const move = useCallback(
    (by: number) => setAt((before) => Math.max(0, Math.min(rows.length - 1, before + by))),
    [rows.length],
  );
  const open = useCallback(() => {
    const row = rows[at];
    if (row !== undefined && to) void navigate(to(row));
  }, [rows, at, to, navigate]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "j") move(1);
      else if (event.key === "k") move(-1);
      else if (event.key === "Enter" && document.activeElement === document.body) open();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [move, open]);
  useEffect(() => {
    body.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" className={column.className} aria-sort={sorted(column, sort)}>
                {column.sort !== undefined && setSort ? (
                  <button className="sort" onClick={() => setSort(turned(column.sort ?? "", sort))}>
                    {column.name}
                    <span aria-hidden="true">{arrow(column.sort, sort)}</span>
                  </button>
                ) : (
                  column.name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row, index) => (
            <tr
              key={keyOf(row)}
              className={`${to ? "link" : ""} ${index === at ? "here" : ""}`}
              onClick={(event) => {
                if (to && !(event.target as Element).closest("a, button")) void navigate(to(row));
              }}
            >
              {columns.map((column) => (
                <td key={column.name} className={column.className}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function sorted<T>(column: Column<T>, sort: string | undefined): "ascending" | "descending" | undefined {
  if (column.sort === undefined) return undefined;
  return sort === column.sort ? "ascending" : sort === `-${column.sort}` ? "descending" : undefined;
}

function turned(by: string, sort: string | undefined): string {
  return sort === `-${by}` ? by : `-${by}`;
}

function arrow(by: string, sort: string | undefined): string {
  return sort === by ? " ↑" : sort === `-${by}` ? " ↓" : "";
}
