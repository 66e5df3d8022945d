// Requests to the origin of this page: `/api/v1` is the control plane's API, `/console/api` the machine's own.

import type { ConsoleSession } from "./contracts";
import { BASE, IS_FLEET } from "./place";

export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly fix: string | null,
  ) {
    super(detail);
  }

  /** Whether nobody answered, or nobody could: to ask again later may help. */
  get isForNow(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

let csrf = "";

/** Who we talk to. Must be asked first: requests that change something need its token. */
export async function openSession(): Promise<ConsoleSession> {
  const session = await get<ConsoleSession>("/console/api/session");
  csrf = session.csrf;
  return session;
}

/** Exchange a key for a session, which the browser keeps where no script sees it. */
export function signIn(key: string): Promise<void> {
  return post("/console/api/sign-in", { key });
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>("GET", path, undefined, signal);
}

export function post<T>(path: string, body: unknown = {}): Promise<T> {
  return ask<T>("POST", path, body);
}

export function put<T>(path: string, body: unknown): Promise<T> {
  return ask<T>("PUT", path, body);
}

/** A list, and how many there are in all. */
export async function getPage<T>(path: string, signal?: AbortSignal): Promise<{ rows: readonly T[]; total: number }> {
  const answer = await answered("GET", path, undefined, signal);
  const rows = (await answer.json()) as T[];
  return { rows, total: Number(answer.headers.get("x-total-count") ?? rows.length) };
}

async function ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await answered(method, path, body, signal);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

async function answered(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = method === "GET" ? {} : { "X-Kubiya-CSRF": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException) throw error;
    const fix = IS_FLEET ? "Does it run? kubiya server status" : "Is a worker of this machine running? kubiya worker list";
    throw new Problem(0, `The ${IS_FLEET ? "control plane" : "web interface"} does not answer.`, fix);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const told = (await answer.json()) as { detail?: unknown; fix?: unknown };
    const detail = typeof told.detail === "string" ? told.detail : `HTTP ${answer.status}`;
    return new Problem(answer.status, detail, typeof told.fix === "string" ? told.fix : null);
  } catch {
    return new Problem(answer.status, `HTTP ${answer.status}`, null);
  }
}

/** A query string of what is set. */
export function query(fields: Record<string, string | number | null | undefined>): string {
  const set = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return set.length ? `?${new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString()}` : "";
}
