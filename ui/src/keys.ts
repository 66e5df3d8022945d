// The keyboard: `g` and a page's letter goes there, `/` to the page's search, `?` shows all of it.

export const PAGES = [
  { key: "o", path: "/", name: "Overview" },
  { key: "w", path: "/workers", name: "Workers" },
  { key: "p", path: "/playground", name: "Playground" },
  { key: "s", path: "/executions", name: "Sessions" },
  { key: "x", path: "/proxy", name: "LLM Proxy" },
  { key: "m", path: "/models", name: "Models" },
  { key: "e", path: "/environment", name: "Environment" },
  { key: "d", path: "/doctor", name: "Doctor" },
  { key: "c", path: "/control-plane", name: "Control Plane" },
  { key: "l", path: "/logs", name: "Logs" },
] as const;

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return target !== null && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
