// The keyboard: `g` and a page's letter goes there, `/` to the page's search, `?` shows all of it.

import { IS_FLEET } from "./place";

interface PageName {
  readonly key: string;
  readonly path: string;
  readonly name: string;
  /** It tells of one machine, and is not where a control plane serves the pages. */
  readonly ofMachine?: boolean;
}

const ALL: readonly PageName[] = [
  { key: "o", path: "/", name: "Overview" },
  { key: "w", path: "/workers", name: "Workers" },
  { key: "p", path: "/playground", name: "Playground" },
  { key: "s", path: "/executions", name: "Sessions" },
  { key: "b", path: "/jobs", name: "Jobs" },
  { key: "x", path: "/proxy", name: "LLM Proxy", ofMachine: true },
  { key: "m", path: "/models", name: "Models" },
  { key: "e", path: "/environment", name: "Environment", ofMachine: true },
  { key: "d", path: "/doctor", name: "Doctor", ofMachine: true },
  { key: "c", path: "/control-plane", name: "Control Plane" },
  { key: "l", path: "/logs", name: "Logs", ofMachine: true },
];

/** The name of the page at a path. */
export function nameOf(path: string): string {
  return ALL.findLast((page) => path === page.path || path.startsWith(`${page.path}/`))?.name ?? "Overview";
}

export const PAGES: readonly PageName[] = ALL.filter((page) => !IS_FLEET || !page.ofMachine);

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return target !== null && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
