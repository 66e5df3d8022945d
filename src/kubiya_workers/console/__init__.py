"""The console: the web interface of the workers of one machine, `http://127.0.0.1:8088`, or of a whole fleet.

- `__main__`: the process, one for each home, kept by the keepers of workers (`launchers/console.py`).
- `door`: who may come in: Host, Origin, the session's cookie, its CSRF token; what every answer says to a browser.
- `target`: the control plane that is shown, and the key to it; `contact` asks it how it is, `forward` passes its API
  through with the key added, so that no page ever has it.
- `pool`: the workers of this machine and those that the control plane knows, and what can be done to them.
- `live`: one snapshot of all that changes, told to every page when it has changed.
- `logs`, `environment`, `doctor`, `proxy`: what those pages show. `kubiya doctor` runs the same checks.
- `fleet`: the same pages for all workers, within a control plane's process; `keyed`: browsers let in by a key.
- `pages`: the files of the pages, and what stands at their address when they were not built.

Flow: a browser asks → `door` → `/console/api/*` (`routes`) or `/api/v1/*` (`forward`) or a page. Nothing here is a
second source of truth: workers are told of by their keepers' records, runs by the control plane.
"""
