import { Link } from "react-router";

import { get, post } from "../api";
import type { ProxyAction, ProxyStatus } from "../contracts";
import { useNow } from "../context";
import { Badge, Confirmed, Empty, Facts, Failure, Page, Panel } from "../parts/basics";
import { Table } from "../parts/table";
import { useLoad } from "../use_load";
import { count, since, size } from "../words";

const EVERY_MS = 3000;
const SERVER = "server";
const NAMES: Record<ProxyAction, string> = { start: "Start", stop: "Stop", restart: "Restart" };

function question(action: ProxyAction, proxy: ProxyStatus): string {
  const waits =
    proxy.owner === SERVER
      ? "Model calls through it fail until it is started again, here or with the control plane."
      : "Its worker takes no work until it is started again, here or with the worker.";
  return {
    start: "It answers again in some seconds. Start it?",
    stop: `Calls that are on their way have 10 s to end, all others are refused. ${waits} Stop it?`,
    restart: "Calls that come meanwhile wait for it; those that are on their way have 10 s to end. Restart it?",
  }[action];
}

export default function Proxy() {
  const found = useLoad("proxy", (signal) => get<readonly ProxyStatus[]>("/console/api/proxy", signal), EVERY_MS);
  return (
    <Page title="LLM Proxy">
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {found.data?.length === 0 && (
        <Empty title="No LiteLLM runs on this machine">
          <p>Models are called through the control plane’s gateway. To run a LiteLLM beside a worker:</p>
          <pre>kubiya worker start --queue-id=my-queue --type=local --enable-local-proxy --proxy-config-file=./litellm_config.yaml</pre>
        </Empty>
      )}
      {found.data?.map((proxy) => (
        <One key={proxy.owner} proxy={proxy} again={found.again} />
      ))}
    </Page>
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
      {proxy.reason && <p className="banner warn">{proxy.reason}</p>}
      <Facts
        rows={[
          ["Health", proxy.healthy === null ? "not known" : proxy.healthy ? "answers" : "does not answer"],
          ["Address", proxy.url],
          ["PID", proxy.pid],
          ["Memory", size(proxy.memory)],
          ["Uptime", since(proxy.started_at, now)],
          ["Restarts", count(proxy.restarts)],
          ["Log", proxy.log && <Link to={`/logs?source=${encodeURIComponent(proxy.log)}`}>{proxy.log}</Link>],
        ]}
      />
      <Table
        label="Models of this proxy"
        rows={proxy.models}
        keyOf={(model) => `${model.model_name} ${JSON.stringify(model.params)}`}
        columns={[
          { name: "Model", cell: (model) => <strong>{model.model_name}</strong> },
          { name: "Endpoint", cell: (model) => <code className="clip wide">{JSON.stringify(model.params)}</code> },
          { name: "Calls", cell: (model) => count(model.calls), className: "number" },
          { name: "Errors", cell: (model) => count(model.errors), className: "number" },
          {
            name: "On average",
            cell: (model) => (model.average_ms === null ? "–" : `${model.average_ms.toFixed(0)} ms`),
            className: "number",
          },
        ]}
      />
    </Panel>
  );
}
