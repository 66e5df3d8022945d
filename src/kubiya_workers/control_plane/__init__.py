"""The control plane: the HTTP API, the event log and the word on every execution.

    routes/ → services/ → store/          a request: translated, decided, stored
    services/ → engine/                   what is to run, in Temporal
    events/                               the one log of each execution, and its live readers
    reconcile.py                          Temporal has the last word on what still runs

`app.build` makes the ASGI application of a `deps.ControlPlane`, which holds the parts; `auth` knows callers by their
keys, `problems` turns refusals into answers, `health` tells the truth about the parts. SQL is only in `store/`,
Temporal's client only in `engine/`. The LLM gateway is a neighbour, mounted beside the API by who starts the process.
"""
