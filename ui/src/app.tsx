import { lazy, Suspense } from "react";
import { Route, Routes } from "react-router";

import { Problem } from "./api";
import { Provider } from "./context";
import { Empty } from "./parts/basics";
import { Shell } from "./shell";

const Overview = lazy(() => import("./pages/overview"));
const Workers = lazy(() => import("./pages/workers"));
const Worker = lazy(() => import("./pages/worker"));
const Playground = lazy(() => import("./pages/playground"));
const Executions = lazy(() => import("./pages/executions"));
const Execution = lazy(() => import("./pages/execution"));
const Proxy = lazy(() => import("./pages/proxy"));
const Models = lazy(() => import("./pages/models"));
const Environment = lazy(() => import("./pages/environment"));
const Doctor = lazy(() => import("./pages/doctor"));
const ControlPlane = lazy(() => import("./pages/control_plane"));
const Logs = lazy(() => import("./pages/logs"));

export function App() {
  return (
    <Provider refused={(problem) => <Refused problem={problem} />}>
      <Shell>
        <Suspense fallback={<p className="quiet pad">Loading…</p>}>
          <Routes>
            <Route path="/" element={<Overview />} />
            <Route path="/workers" element={<Workers />} />
            <Route path="/workers/:key" element={<Worker />} />
            <Route path="/playground" element={<Playground />} />
            <Route path="/playground/:id" element={<Playground />} />
            <Route path="/executions" element={<Executions />} />
            <Route path="/executions/:id" element={<Execution />} />
            <Route path="/proxy" element={<Proxy />} />
            <Route path="/models" element={<Models />} />
            <Route path="/environment" element={<Environment />} />
            <Route path="/doctor" element={<Doctor />} />
            <Route path="/control-plane" element={<ControlPlane />} />
            <Route path="/logs" element={<Logs />} />
            <Route path="*" element={<Empty title="There is no such page">Its address may have changed.</Empty>} />
          </Routes>
        </Suspense>
      </Shell>
    </Provider>
  );
}

function Refused({ problem }: { problem: Problem }) {
  const isStranger = problem.status === 401 || problem.status === 403;
  return (
    <main className="refused">
      <h1>{isStranger ? "This page does not know you yet" : "The web interface does not answer"}</h1>
      {isStranger ? (
        <>
          <p>It shows and does what only the owner of these workers may. To sign in, run this on their machine:</p>
          <pre>kubiya ui</pre>
          <p>Or open the address that <code>kubiya worker start</code> printed: it is good for one time.</p>
        </>
      ) : (
        <p>
          {problem.message} {problem.fix}
        </p>
      )}
    </main>
  );
}
