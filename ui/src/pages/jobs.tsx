import { get } from "../api";
import type { ShownJob } from "../contracts";
import { useNow } from "../context";
import { Badge, Empty, Failure, Page } from "../parts/basics";
import { Table, type Column } from "../parts/table";
import { useLoad } from "../use_load";
import { ago, ahead, clock } from "../words";
import { kindOf } from "./job";

const EVERY_MS = 4000;

export default function Jobs() {
  const now = useNow();
  const found = useLoad("jobs", (signal) => get<readonly ShownJob[]>("/api/v1/jobs?limit=500", signal), EVERY_MS);
  return (
    <Page title="Jobs">
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {found.data?.length === 0 && (
        <Empty title="There are no jobs">
          <p>A job runs a prompt by schedule, by webhook or by hand:</p>
          <pre>kubiya job create nightly --cron &quot;30 2 * * *&quot; --prompt &quot;Rotate the logs&quot;</pre>
        </Empty>
      )}
      {found.data && found.data.length > 0 && (
        <Table
          label="Jobs"
          rows={found.data}
          columns={columns(now)}
          keyOf={(job) => job.id}
          to={(job) => `/jobs/${job.id}`}
        />
      )}
    </Page>
  );
}

function columns(now: number): readonly Column<ShownJob>[] {
  return [
    {
      name: "Job",
      cell: (job) => (
        <>
          <strong>{job.name}</strong> {!job.enabled && <Badge state="disabled" />}
        </>
      ),
    },
    { name: "Trigger", cell: kindOf },
    { name: "Who", cell: (job) => job.entity_name ?? job.entity_id },
    {
      name: "Next",
      cell: (job) => <time title={clock(job.next_at)}>{ahead(job.next_at, now)}</time>,
      className: "number",
    },
    { name: "Last", cell: ({ last_firing: last }) => last && <Badge state={last.outcome} /> },
    { name: "Its session", cell: ({ last_firing: last }) => last?.execution_status && <Badge state={last.execution_status} /> },
    {
      name: "When",
      cell: ({ last_firing: last }) => last && <time title={clock(last.created_at)}>{ago(last.created_at, now)}</time>,
      className: "number",
    },
  ];
}
