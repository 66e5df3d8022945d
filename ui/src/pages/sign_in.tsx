import { useState, type FormEvent } from "react";

import { Problem, signIn } from "../api";
import { capital } from "../words";

/** A key is exchanged for a session; it is kept nowhere. */
export function SignIn({ done, was }: { done: () => void; was: boolean }) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    signIn(key)
      .then(done)
      .catch((error: unknown) => setProblem(error instanceof Problem ? error : new Problem(0, String(error), null)))
      .finally(() => setBusy(false));
  };
  return (
    <main className="refused">
      <header className="brand">
        <span className="mark" aria-hidden="true" />
        <h1>Kubiya workers</h1>
      </header>
      {was && (
        <p className="banner warn" role="status">
          You were signed out: the session is over, or its key was revoked.
        </p>
      )}
      <form className="panel" onSubmit={submit}>
        <label>
          Key of this control plane
          <input
            type="password"
            name="key"
            autoComplete="current-password"
            spellCheck={false}
            autoFocus
            required
            value={key}
            onChange={(event) => setKey(event.target.value)}
            aria-invalid={problem !== null}
            aria-describedby="sign-in-problem"
          />
        </label>
        <p id="sign-in-problem" className="bad-text" role="alert">
          {problem && `${capital(problem.message)}. ${problem.status === 401 ? "" : (problem.fix ?? "")}`}
        </p>
        <div className="row end">
          <button className="primary" disabled={busy || !key.trim()}>
            {busy ? "Signing in" : "Sign in"}
          </button>
        </div>
      </form>
      <p className="quiet">
        What the key may do bounds what these pages can. Make one that may only look with{" "}
        <code>kubiya key create NAME --scope read</code>. Whoever has a key set up on this machine runs{" "}
        <code>kubiya ui --fleet</code> instead.
      </p>
    </main>
  );
}
