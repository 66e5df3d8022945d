"""The control plane: the HTTP API, the event log and the word on every execution.

    routes/ → services/ → store/          a request: translated, decided, stored
    services/ → engine/                   what is to run, in Temporal
    events/                               the one log of each execution, and its live readers
    reconcile.py                          Temporal has the last word on what still runs
    planning/                             who should run a prompt, and where, by a model that is asked
    jobs/                                 what is due by a schedule, sent to a webhook or asked for by hand fires once
    on_demand/                            workers that are started for executions that have none
    retention.py                          what nobody needs any more is removed
    passage.py                            the way to Temporal for workers that cannot reach it

`app.build` makes the ASGI application of a `deps.ControlPlane`, which holds the parts; `auth` knows callers by their
keys (`key_uses` when each was used last), `health` tells the truth about the
parts. SQL is only in `store/`, Temporal's client only in `engine/`. The LLM gateway is a neighbour, mounted beside the
API by who starts the process.
"""
