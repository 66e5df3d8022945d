import { useState } from "react";
import { Link, useSearchParams } from "react-router";

import { get, post } from "../api";
import type { Model, ModelTest } from "../contracts";
import { useMay } from "../may";
import { Badge, Empty, Failure, Page, Panel } from "../parts/basics";
import { Table, type Column } from "../parts/table";
import { useLoad } from "../use_load";
import { count, money, span } from "../words";

export default function Models() {
  const [params, setParams] = useSearchParams();
  const text = params.get("q") ?? "";
  const found = useLoad("models", (signal) => get<readonly Model[]>("/api/v1/models?limit=500", signal));
  const byDefault = useLoad("default", (signal) => get<Model>("/api/v1/models/default", signal));
  const rows = (found.data ?? []).filter((model) =>
    `${model.value} ${model.provider} ${model.label}`.toLowerCase().includes(text.toLowerCase()),
  );
  return (
    <Page
      title="Models"
      aside={
        <input
          type="search"
          aria-label="Filter models"
          placeholder="Filter  /"
          value={text}
          onChange={(event) => setParams(event.target.value ? { q: event.target.value } : {}, { replace: true })}
        />
      }
    >
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {found.data?.length === 0 && <Empty title="No model is configured" />}
      {found.data && found.data.length > 0 && rows.length === 0 && <Empty title="No model is like that" />}
      {rows.length > 0 && (
        <Panel>
          <Table label="Models" rows={rows} columns={columns(byDefault.data?.id)} keyOf={(model) => model.id} />
        </Panel>
      )}
    </Page>
  );
}

function columns(chosen: string | undefined): readonly Column<Model>[] {
  return [
    {
      name: "Model",
      cell: (model) => (
        <>
          <strong>{model.value}</strong> {model.id === chosen && <Badge state="default" tone="good" />}
        </>
      ),
    },
    { name: "Provider", cell: (model) => model.provider },
    { name: "Can", cell: (model) => abilities(model).map((name) => <Badge key={name} state={name} tone="calm" />) },
    {
      name: "Context",
      cell: (model) => count(numeric(model.capabilities["context_length"])),
      className: "number",
    },
    { name: "In, $ / M", cell: (model) => price(model, "input"), className: "number" },
    { name: "Out, $ / M", cell: (model) => price(model, "output"), className: "number" },
    { name: "Test", cell: (model) => <Test model={model.value} /> },
    { name: "", cell: (model) => <Link to={`/playground?model=${encodeURIComponent(model.value)}`}>Playground</Link> },
  ];
}

const ABILITIES = ["tools", "vision", "reasoning"];

function abilities(model: Model): string[] {
  return ABILITIES.filter((name) => model.capabilities[name] === true);
}

function numeric(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Dollars for a million tokens. */
function price(model: Model, kind: "input" | "output"): string {
  const value = numeric(model.pricing?.[kind]);
  return value === null ? "–" : value.toFixed(value < 1 ? 3 : 2).replace(/0$/, "");
}

function Test({ model }: { model: string }) {
  const not = useMay("run");
  const [result, setResult] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const test = () => {
    setBusy(true);
    post<ModelTest>("/console/api/models/test", { model })
      .then((tested) => setResult(`${span(tested.latency_ms)}, ${money(tested.cost_usd)}: ${tested.answer.slice(0, 40)}`))
      .catch((error: unknown) => setResult(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  return (
    <span className="row">
      <button className="small" onClick={test} disabled={busy || not !== null} title={not ?? undefined} aria-label={`Test ${model}`}>
        {busy ? "…" : "Test"}
      </button>
      <span className="quiet" role="status">
        {result}
      </span>
    </span>
  );
}
