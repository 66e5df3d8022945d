"""The process that polls: register → connect → poll → execute → stream → heartbeat → drain.

`process` is the life of one worker; `handshake` its registration, `connection` its Temporal, `runtime` what polls,
`contact` whether control plane and Temporal still answer, `heartbeat` its sign of life from a thread of its own.
`activities/` are the bodies of the steps, `models/` speaks to the gateway, `tools/` runs tools, `events/` publishes
what happens. A worker knows its control plane only through `client`, and Temporal only through `connection` and
`runtime`.
"""
