"""How a process of the product is started and, above all, ended.

- `guard`: children that cannot outlive their owner, even when it is killed; `guardian` is the guard's own process.
- `pipes`: what a started process says to whoever started it.
- `litellm`: a LiteLLM, installed, checked and kept running.
- `spec`, `ports`: what is to be started, and on which free port.
- `environment`: the virtual environment of a queue's worker, with its user's packages.
- `worker_process`, `script`: a worker as a process of this machine; `local` is one for a single run.
- `upkeep`: one keeper for each queue: restarts, log, record, pause; in a terminal or as a supervisor.
- `server`: the embedded control plane: found, started on demand, shared and stopped.
- `console`, `signin`: the web interface of a home, kept by whoever keeps a worker; the tokens that let a browser in.
- `docker`: a worker in a container, kept by Docker; `kubernetes`: workers in a cluster, kept by that. `remembered`
  names which of them has a queue's, `stamped` reads their logs.
- `on_demand`: a worker for one execution, as a process, a container or a Job, behind one port.
- `serving`: what our HTTP servers have in common.

Flow: a command (`cli`) or a process (`worker`, `control_plane`) starts a child in a session of its own, has its guard
adopt it, and ends it with `guard.end_group`. What has ended is released. Nothing here knows what a child does.
"""
