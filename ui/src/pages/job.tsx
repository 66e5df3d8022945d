import { useState } from "react";
import { Link, useParams } from "react-router";

import { get, post } from "../api";
import type { Fired, Firing, ShownJob } from "../contracts";
import { useNow } from "../context";
import { useMay } from "../may";
import { Badge, Confirmed, Copy, Empty, Facts, Failure, Page, Panel } from "../parts/basics";
import { Table, type Column } from "../parts/table";
import { useLoad } from "../use_load";
import { ago, ahead, capital, clock } from "../words";

const EVERY_MS = 4000;

export default function JobPage() {
  const { id = "" } = useParams();
  const path = `/api/v1/jobs/${encodeURIComponent(id)}`;
  const found = useLoad(path, (signal) => get<ShownJob>(path, signal), EVERY_MS);
  const past = `${path}/firings?limit=100`;
  const firings = useLoad(past, (signal) => get<readonly Firing[]>(past, signal), EVERY_MS);
  const now = useNow();
  const job = found.data;
  if (found.problem?.status === 404) {
    return (
      <Empty title="There is no such job">
        <Link to="/jobs">All jobs</Link>
      </Empty>
    );
  }
  if (job === null) {
    return found.problem ? <Failure problem={found.problem} again={found.again} /> : <p className="quiet pad">Loading…</p>;
  }
  const again = () => {
    found.again();
    firings.again();
  };
  return (
    <Page
      title={
        <>
          {job.name} <Badge state={job.enabled ? "enabled" : "disabled"} tone={job.enabled ? "good" : "calm"} />
        </>
      }
      aside={<Deeds job={job} path={path} done={again} />}
    >
      <div className="grid two">
        <About job={job} now={now} />
        <Panel title="Prompt">
          <pre className="terminal">{job.prompt_template}</pre>
        </Panel>
      </div>
      <Panel title="Firings" aside={<Link to={`/executions?job_id=${encodeURIComponent(job.id)}`}>Its sessions</Link>}>
        {firings.problem && <Failure problem={firings.problem} again={firings.again} />}
        {firings.data?.length === 0 && <Empty title="It has not been due yet" />}
        {firings.data && firings.data.length > 0 && (
          <Table label="Firings" rows={firings.data} columns={columns(now)} keyOf={(firing) => firing.id} />
        )}
      </Panel>
    </Page>
  );
}

/** What sets a job off, in a word, or its schedule. */
export function kindOf(job: ShownJob): string {
  return job.cron_schedule ? `${job.cron_schedule} (${job.cron_timezone ?? "UTC"})` : job.trigger_type;
}

function Deeds({ job, path, done }: { job: ShownJob; path: string; done: () => void }) {
  const not = useMay("run");
  const [told, setTold] = useState<string | null>(null);
  const [values, setValues] = useState<Values>({});
  const trigger = async () => {
    const fired = await post<Fired>(`${path}/trigger`, given(job, values));
    setTold(fired.reason ?? `It is ${fired.outcome}.`);
    done();
  };
  const turn = job.enabled ? "disable" : "enable";
  return (
    <>
      <span className="quiet" role="status">
        {told}
      </span>
      <Confirmed name="Trigger" question={`Fire ${job.name} now?`} act={trigger} not={not}>
        {job.variables.length > 0 && <Variables of={job} values={values} set={setValues} />}
      </Confirmed>
      <Confirmed
        name={job.enabled ? "Disable" : "Enable"}
        question={
          job.enabled
            ? "It does not fire by itself any more; what runs goes on. Disable it?"
            : "It fires by itself from now on, in the name of your key. Enable it?"
        }
        act={() => post(`${path}/${turn}`).then(done)}
        not={not}
      />
    </>
  );
}

type Values = Readonly<Record<string, string>>;

/** What a trigger says; throws when the payload is no JSON object. */
function given(job: ShownJob, values: Values): object {
  if (job.variables.length === 0) return {};
  if (job.trigger_type !== "webhook") {
    return { variables: Object.fromEntries(job.variables.map((name) => [name, values[name] ?? ""])) };
  }
  try {
    return { payload: JSON.parse(values.payload ?? "") as unknown };
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function Variables({ of: job, values, set }: { of: ShownJob; values: Values; set: (values: Values) => void }) {
  return job.variables.map((name, index) => {
    const shared = {
      value: values[name] ?? "",
      onChange: (event: { target: { value: string } }) => set({ ...values, [name]: event.target.value }),
      autoFocus: index === 0,
    };
    return (
      <label key={name}>
        {name}
        {job.trigger_type === "webhook" ? <textarea rows={5} placeholder='{"key": "value"}' {...shared} /> : <input {...shared} />}
      </label>
    );
  });
}

function About({ job, now }: { job: ShownJob; now: number }) {
  const where = job.worker_queue_name ?? job.environment_name ?? "a live worker, or one on demand";
  const next = job.next_firings.map((at) => (
    <div key={at}>
      {clock(at)} <span className="quiet">{ahead(at, now)}</span>
    </div>
  ));
  return (
    <Panel title="About">
      <Facts
        rows={[
          ["Trigger", kindOf(job)],
          ...(job.trigger_type === "cron" ? [["Next", next.length > 0 ? next : null] as const] : []),
          [capital(job.entity_type), job.entity_name ?? job.entity_id],
          ["Runs on", where],
          ["When one still runs", job.overlap],
          ...(job.trigger_type === "webhook" ? [["Webhook", <Address key="webhook" job={job} />] as const] : []),
          ...(job.description ? [["Description", job.description] as const] : []),
        ]}
      />
    </Panel>
  );
}

/** Whoever knows the address can fire the job: no glance at the screen shows it. */
function Address({ job }: { job: ShownJob }) {
  const not = useMay("run");
  const [isShown, show] = useState(false);
  return (
    <>
      {job.webhook_signed && <span className="quiet">Signed. </span>}
      {isShown && job.webhook_url !== null ? (
        <>
          <code className="wrap">{job.webhook_url}</code> <Copy text={job.webhook_url} />
        </>
      ) : (
        <button className="small" onClick={() => show(true)} disabled={not !== null} title={not ?? undefined}>
          Show its address
        </button>
      )}
    </>
  );
}

function columns(now: number): readonly Column<Firing>[] {
  return [
    { name: "Due", cell: (firing) => <time title={ago(firing.scheduled_at, now)}>{clock(firing.scheduled_at)}</time> },
    { name: "By", cell: (firing) => firing.trigger },
    { name: "Outcome", cell: (firing) => <Badge state={firing.outcome} /> },
    {
      name: "Session",
      cell: (firing) =>
        firing.execution_id && (
          <Link to={`/executions/${firing.execution_id}`}>
            {firing.execution_status ? <Badge state={firing.execution_status} /> : "deleted"}
          </Link>
        ),
    },
    { name: "Reason", cell: (firing) => <span className="clip wide" title={firing.reason ?? undefined}>{firing.reason}</span> },
  ];
}
