import { useState, type FormEvent } from "react";
import { useSearchParams } from "react-router";

import { get, put } from "../api";
import type { EnvironmentPage, EnvironmentVariable } from "../contracts";
import { Badge, Failure, Page, Panel } from "../parts/basics";
import { useLoad } from "../use_load";

export default function Environment() {
  const [params, setParams] = useSearchParams();
  const text = params.get("q") ?? "";
  const found = useLoad("environment", (signal) => get<EnvironmentPage>("/console/api/environment", signal));
  const page = found.data;
  const rows = (page?.variables ?? []).filter((one) => `${one.name} ${one.meaning}`.toLowerCase().includes(text.toLowerCase()));
  return (
    <Page
      title="Environment"
      aside={
        <input
          type="search"
          aria-label="Filter variables"
          placeholder="Filter  /"
          value={text}
          onChange={(event) => setParams(event.target.value ? { q: event.target.value } : {}, { replace: true })}
        />
      }
    >
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {page && page.restart_wanted.length > 0 && (
        <p className="banner warn">
          Saved values count once these workers are restarted: {page.restart_wanted.join(", ")}.
        </p>
      )}
      {page && (
        <>
          <p className="quiet">
            What is saved here goes to <code>{page.file}</code>, readable by you alone. A variable that is set in the environment of
            a process wins over it.
          </p>
          <Panel>
            <ul className="variables">
              {rows.map((variable) => (
                <Variable key={variable.name} variable={variable} saved={found.set} />
              ))}
            </ul>
          </Panel>
        </>
      )}
    </Page>
  );
}

function Variable({ variable, saved }: { variable: EnvironmentVariable; saved: (page: EnvironmentPage) => void }) {
  const [isEdited, setEdited] = useState(false);
  return (
    <li>
      <div className="variable-head">
        <code>{variable.name}</code>
        <Badge state={variable.origin} tone={variable.origin === "default" ? "calm" : "good"} />
        {variable.needs_restart && variable.origin === "saved" && <Badge state="needs a restart" tone="warn" />}
        <span className="grow" />
        <span className="variable-value">{valueOf(variable)}</span>
        {variable.editable && (
          <button className="small" onClick={() => setEdited(!isEdited)} aria-label={`Change ${variable.name}`}>
            Change
          </button>
        )}
      </div>
      <p className="quiet">{variable.meaning}</p>
      {isEdited && (
        <Edit
          variable={variable}
          done={(page) => {
            setEdited(false);
            if (page) saved(page);
          }}
        />
      )}
    </li>
  );
}

function valueOf(variable: EnvironmentVariable) {
  if (variable.secret) return variable.is_set ? <span className="quiet">set, not shown</span> : <span className="quiet">not set</span>;
  if (variable.value !== null && variable.value !== "") return <code>{variable.value}</code>;
  return <span className="quiet">{variable.default ? `default: ${variable.default}` : "not set"}</span>;
}

function Edit({ variable, done }: { variable: EnvironmentVariable; done: (page: EnvironmentPage | null) => void }) {
  const [value, setValue] = useState(variable.secret ? "" : (variable.value ?? ""));
  const [problem, setProblem] = useState<string | null>(null);
  const save = (wanted: string | null) => {
    put<EnvironmentPage>(`/console/api/environment/${variable.name}`, { value: wanted })
      .then(done)
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  };
  return (
    <form
      className="row edit"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        save(value);
      }}
    >
      <input
        aria-label={`New value of ${variable.name}`}
        type={variable.secret ? "password" : "text"}
        autoComplete="off"
        value={value}
        onChange={(event) => setValue(event.target.value)}
        autoFocus
      />
      <button className="primary">Save</button>
      {variable.origin === "saved" && (
        <button type="button" onClick={() => save(null)}>
          Forget what was saved
        </button>
      )}
      <button type="button" onClick={() => done(null)}>
        Leave it
      </button>
      {problem && (
        <p className="bad-text" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
