import type { ReactNode } from "react";
import { Link } from "react-router";

import { get, post } from "../api";
import type { CallReport, ModelCalls, ProxyModel, ProxyStatus } from "../contracts";
import { useNow } from "../context";
import { Badge, Confirmed, Empty, Facts, Failure, Page, Panel } from "../parts/basics";
import { Table } from "../parts/table";
import { useLoad } from "../use_load";
import { clock, count, pluralized, shown, since, size, span } from "../words";

const EVERY_MS = 3000;
type ProxyAction = ProxyStatus["actions"][number];

const SERVER = "server";
const NAMES: Record<ProxyAction, string> = { start: "Start", stop: "Stop", restart: "Restart" };

function whileStopped(proxy: ProxyStatus): string {
  return proxy.owner === SERVER
    ? "Model calls through it fail until it is started again, here or with the control plane."
    : "Its worker takes no work until it is started again, here or with the worker.";
}

function question(action: ProxyAction, proxy: ProxyStatus): string {
  return {
    start: "It answers again in some seconds. Start it?",
    stop: `Calls that are on their way have 10 s to end, all others are refused. ${whileStopped(proxy)} Stop it?`,
    restart: "Calls that come meanwhile wait for it; those that are on their way have 10 s to end. Restart it?",
  }[action];
}

export default function Proxy() {
  const found = useLoad("proxy", (signal) => get<readonly ProxyStatus[]>("/console/api/proxy", signal), EVERY_MS);
  return (
    <Page title="LLM Proxy">
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      <Gateway />
      {found.data?.length === 0 && (
        <Empty title="No LiteLLM runs on this machine">
          <p>Models are called by the control plane’s gateway itself. To run a LiteLLM beside a worker:</p>
          <pre>kubiya worker start --queue-id=my-queue --type=local --enable-local-proxy --proxy-config-file=./litellm_config.yaml</pre>
        </Empty>
      )}
      {found.data?.map((proxy) => (
        <One key={proxy.owner} proxy={proxy} again={found.again} />
      ))}
    </Page>
  );
}

function Gateway() {
  const report = useLoad("calls", (signal) => get<CallReport>("/api/v1/usage/calls", signal), EVERY_MS);
  const now = useNow();
  return (
    <Panel
      title="The control plane’s gateway"
      aside={report.data && <span className="quiet">counted for {since(report.data.since, now)}</span>}
    >
      {report.problem && <Failure problem={report.problem} again={report.again} />}
      {report.data && <Calls calls={report.data.models} none="No model was called through it yet." />}
    </Panel>
  );
}

/** How many calls there were, how they failed, and how long they took. */
function Calls({ calls, none }: { calls: readonly ModelCalls[]; none: string }) {
  if (calls.length === 0) return <p className="quiet">{none}</p>;
  const through = calls.some((one) => one.upstream !== null);
  return (
    <Table
      label="Requests by model"
      rows={calls}
      keyOf={(one) => `${one.model} ${one.upstream ?? ""}`}
      columns={[
        { name: "Model", cell: (one) => <strong>{one.model}</strong> },
        ...(through ? [{ name: "Through", cell: (one: ModelCalls) => one.upstream }] : []),
        { name: "Requests", cell: (one) => count(one.calls), className: "number" },
        { name: "Errors", cell: (one) => <Errors calls={one} />, className: "number" },
        { name: "Half within", cell: (one) => span(one.p50_ms), className: "number" },
        { name: "95 % within", cell: (one) => span(one.p95_ms), className: "number" },
        { name: "Last", cell: (one) => clock(one.last), className: "number" },
      ]}
    />
  );
}

function ofProcess(proxy: ProxyStatus, now: number): readonly (readonly [string, ReactNode])[] {
  return [
    ["Health", proxy.healthy === null ? "not known" : proxy.healthy ? "answers" : "does not answer"],
    ["Address", proxy.url],
    ["PID", proxy.pid],
    ["Memory", size(proxy.memory)],
    ["Uptime", since(proxy.started_at, now)],
  ];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** All but what has a column of its own. */
function parameters(params: ProxyModel["params"]): string {
  const others = Object.entries(params).filter(([name]) => name !== "model" && name !== "api_base");
  return others.map(([name, value]) => `${name}: ${text(value) || JSON.stringify(value)}`).join(", ");
}

function Errors({ calls }: { calls: ModelCalls }) {
  const failed = Object.values(calls.errors).reduce((sum, number) => sum + number, 0);
  const kinds = Object.entries(calls.errors).map(([kind, number]) => `${count(number)} ${shown(kind)}`);
  const share = Math.round((100 * failed) / calls.calls);
  return (
    <>
      {failed > 0 ? <span className="bad-text">{`${kinds.join(", ")} (${share} %)`}</span> : "0"}
      {calls.given_up > 0 && <small> {pluralized(calls.given_up, "caller")} left</small>}
    </>
  );
}

function One({ proxy, again }: { proxy: ProxyStatus; again: () => void }) {
  const now = useNow();
  const owner = proxy.owner === SERVER ? "the control plane" : `the worker of ${proxy.owner.replace("worker/", "")}`;
  return (
    <Panel
      title={`Beside ${owner}`}
      aside={
        <div className="row">
          <Badge state={proxy.state} />
          {proxy.actions.map((action) => (
            <Confirmed
              key={action}
              name={NAMES[action]}
              question={question(action, proxy)}
              act={() => post(`/console/api/proxy/${encodeURIComponent(proxy.owner)}/${action}`).then(again)}
            />
          ))}
        </div>
      }
    >
      {proxy.reason && (
        <p className="banner warn">
          {proxy.reason}
          {proxy.actions.includes("start") && `. ${whileStopped(proxy)}`}
        </p>
      )}
      <Facts
        rows={[
          ...(proxy.pid === null ? [] : ofProcess(proxy, now)),
          ["Restarts", count(proxy.restarts)],
          ["Log", proxy.log && <Link to={`/logs?source=${encodeURIComponent(proxy.log)}`}>{proxy.log}</Link>],
        ]}
      />
      {proxy.owner !== SERVER && (
        <>
          <h3>Requests by model</h3>
          <Calls calls={proxy.calls} none="Nothing was called through it yet." />
        </>
      )}
      <h3>Configured endpoints</h3>
      <Table
        label="Configured endpoints"
        rows={proxy.models}
        keyOf={(model) => `${model.model_name} ${JSON.stringify(model.params)}`}
        columns={[
          { name: "Model", cell: (model) => <strong>{model.model_name}</strong> },
          { name: "Endpoint", cell: (model) => <code>{text(model.params["model"])}</code> },
          { name: "Address", cell: (model) => <code>{text(model.params["api_base"]) || "its provider’s own"}</code> },
          { name: "Parameters", cell: (model) => <code className="wrap">{parameters(model.params)}</code> },
        ]}
      />
    </Panel>
  );
}
