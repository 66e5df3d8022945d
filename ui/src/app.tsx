import { lazy, Suspense, type ReactNode } from "react";
import { Route, Routes } from "react-router";

import { Provider, type Refusal } from "./context";
import OfOneMachine from "./pages/of_one_machine";
import { SignIn } from "./pages/sign_in";
import { Empty } from "./parts/basics";
import { IS_FLEET } from "./place";
import { Shell } from "./shell";

const Overview = lazy(() => import("./pages/overview"));
const Workers = lazy(() => import("./pages/workers"));
const Worker = lazy(() => import("./pages/worker"));
const Playground = lazy(() => import("./pages/playground"));
const Executions = lazy(() => import("./pages/executions"));
const Execution = lazy(() => import("./pages/execution"));
const Jobs = lazy(() => import("./pages/jobs"));
const Job = lazy(() => import("./pages/job"));
const Proxy = lazy(() => import("./pages/proxy"));
const Models = lazy(() => import("./pages/models"));
const Environment = lazy(() => import("./pages/environment"));
const Doctor = lazy(() => import("./pages/doctor"));
const ControlPlane = lazy(() => import("./pages/control_plane"));
const Logs = lazy(() => import("./pages/logs"));

export function App() {
  return (
    <Provider refused={(refusal) => <Refused {...refusal} />}>
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
            <Route path="/jobs" element={<Jobs />} />
            <Route path="/jobs/:id" element={<Job />} />
            <Route path="/proxy" element={here("LLM Proxy", <Proxy />)} />
            <Route path="/models" element={<Models />} />
            <Route path="/environment" element={here("Environment", <Environment />)} />
            <Route path="/doctor" element={here("Doctor", <Doctor />)} />
            <Route path="/control-plane" element={<ControlPlane />} />
            <Route path="/logs" element={here("Logs", <Logs />)} />
            <Route path="*" element={<Empty title="There is no such page">Its address may have changed.</Empty>} />
          </Routes>
        </Suspense>
      </Shell>
    </Provider>
  );
}

/** A page that tells of one machine. */
function here(title: string, page: ReactNode): ReactNode {
  return IS_FLEET ? <OfOneMachine title={title} /> : page;
}

function Refused({ problem, was, again }: Refusal) {
  if (IS_FLEET && problem.status === 401) return <SignIn done={again} was={was} />;
  const isStranger = problem.status === 401 || problem.status === 403;
  return (
    <main className="refused">
      <h1>{isStranger ? "This page does not know you yet" : `The ${IS_FLEET ? "control plane" : "web interface"} does not answer`}</h1>
      {isStranger ? (
        <>
          <p>{problem.message}</p>
          <p>It shows and does what only the owner of these workers may. To sign in, run this on their machine:</p>
          <pre>{IS_FLEET ? "kubiya ui --fleet" : "kubiya ui"}</pre>
          {!IS_FLEET && (
            <p>
              Or open the address that <code>kubiya worker start</code> printed: it is good for one time.
            </p>
          )}
        </>
      ) : (
        <p>
          {problem.message} {problem.fix}
        </p>
      )}
    </main>
  );
}
