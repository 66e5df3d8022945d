import { useState } from "react";

import { get, post } from "../api";
import type { DoctorReport, Finding } from "../contracts";
import { Badge, Failure, Page, Panel } from "../parts/basics";
import { useLoad } from "../use_load";
import { clock, pluralized } from "../words";

const ORDER = ["fail", "warn", "ok", "skip"];

export default function Doctor() {
  const found = useLoad("doctor", (signal) => get<DoctorReport>("/console/api/doctor", signal));
  const report = found.data;
  const findings = [...(report?.findings ?? [])].sort((one, other) => ORDER.indexOf(one.result) - ORDER.indexOf(other.result));
  const bad = findings.filter((finding) => finding.result === "fail").length;
  const warned = findings.filter((finding) => finding.result === "warn").length;
  return (
    <Page
      title="Doctor"
      aside={
        <>
          <a className="button" href="/console/api/doctor/report" download>
            Download report
          </a>
          <button className="primary" onClick={found.again} disabled={found.isLoading}>
            {found.isLoading ? "Checking" : "Check again"}
          </button>
        </>
      }
    >
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {report && (
        <p className={`banner ${bad ? "bad" : warned ? "warn" : "good"}`} role="status">
          {bad || warned
            ? `${pluralized(bad, "thing")} that must be mended, ${warned} to know of`
            : "All is well"}
          , as of {clock(report.at)}.
        </p>
      )}
      <Panel>
        <ul className="findings">
          {findings.map((finding) => (
            <One key={finding.name} finding={finding} set={found.set} />
          ))}
        </ul>
      </Panel>
    </Page>
  );
}

function One({ finding, set }: { finding: Finding; set: (report: DoctorReport) => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const fix = () => {
    setBusy(true);
    post<DoctorReport>(`/console/api/doctor/fix/${encodeURIComponent(finding.name)}`)
      .then(set)
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  return (
    <li>
      <Badge state={finding.result} />
      <div className="grow">
        <strong>{finding.name}</strong>
        <p>{finding.evidence}</p>
        {finding.remedy && finding.result !== "ok" && <p className="quiet">{finding.remedy}</p>}
        {problem && <p className="bad-text">{problem}</p>}
      </div>
      {finding.fix && (
        <button onClick={fix} disabled={busy}>
          {busy ? "…" : finding.fix}
        </button>
      )}
    </li>
  );
}
