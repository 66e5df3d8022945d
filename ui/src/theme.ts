// Light or dark: as the system says, until somebody chooses.

export type Theme = "system" | "light" | "dark";

const KEY = "kubiya-theme";
const NEXT: Record<Theme, Theme> = { system: "dark", dark: "light", light: "system" };

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = theme();
}

/** The next one, kept for the next visit. */
export function changeTheme(): Theme {
  const next = NEXT[theme()];
  localStorage.setItem(KEY, next);
  applyTheme();
  return next;
}
