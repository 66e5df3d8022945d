import { useEffect, useState } from "react";
import { useSearchParams } from "react-router";

import { get } from "../api";
import type { LogSource } from "../contracts";
import { Empty, Failure, Page } from "../parts/basics";
import { LogView, type LogFilter } from "../parts/log_view";
import { useLoad } from "../use_load";
import { size } from "../words";

const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR"];
const SETTLED_MS = 250;

export default function Logs() {
  const [params, setParams] = useSearchParams();
  const [isFollowed, setFollowed] = useState(true);
  const sources = useLoad("logs", (signal) => get<readonly LogSource[]>("/console/api/logs", signal));
  const source = params.get("source") ?? sources.data?.[0]?.name ?? "";
  const chosen = sources.data?.find((one) => one.name === source);
  const set = (name: string, value: string) => {
    const next = new URLSearchParams(params);
    if (value) next.set(name, value);
    else next.delete(name);
    setParams(next, { replace: true });
  };
  const filter: LogFilter = {
    level: params.get("level") ?? undefined,
    text: useSettled(params.get("text") ?? "") || undefined,
    since: moment(params.get("since")),
    until: moment(params.get("until")),
  };
  return (
    <Page
      title="Logs"
      aside={
        <>
          <select aria-label="Log" value={source} onChange={(event) => set("source", event.target.value)}>
            {(sources.data ?? []).map((one) => (
              <option key={one.name} value={one.name}>
                {one.name} ({size(one.size)})
              </option>
            ))}
          </select>
          <select aria-label="Level" value={filter.level ?? ""} onChange={(event) => set("level", event.target.value)}>
            <option value="">all levels</option>
            {LEVELS.map((level) => (
              <option key={level} value={level}>
                {level} and graver
              </option>
            ))}
          </select>
          {(["since", "until"] as const).map((name) => (
            <label key={name} className="beside">
              {name}
              <input type="datetime-local" value={params.get(name) ?? ""} onChange={(event) => set(name, event.target.value)} />
            </label>
          ))}
          <input
            type="search"
            aria-label="Search the log"
            placeholder="Search  /"
            value={params.get("text") ?? ""}
            onChange={(event) => set("text", event.target.value)}
          />
          <button aria-pressed={isFollowed} onClick={() => setFollowed(!isFollowed)}>
            {isFollowed ? "Pause" : "Follow"}
          </button>
        </>
      }
    >
      {sources.problem && <Failure problem={sources.problem} again={sources.again} />}
      {sources.data?.length === 0 && <Empty title="There is no log yet" />}
      {source && (
        <>
          <div className="row between">
            <span className="quiet">
              {chosen ? `${chosen.path}, ${chosen.files === 1 ? "one file" : `${chosen.files} files`}` : source}
            </span>
            <a className="button" href={`/console/api/logs/download?source=${encodeURIComponent(source)}`} download>
              Download
            </a>
          </div>
          <LogView source={source} filter={filter} follow={isFollowed} className="tall" />
        </>
      )}
    </Page>
  );
}

function moment(text: string | null): string | undefined {
  return text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : undefined;
}

/** The text once nobody has typed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
