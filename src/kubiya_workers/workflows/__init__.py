"""What is durable: the workflow of an execution, deterministic.

`execution` asks the pure loop what comes next and does it; `calls` knows the activities by name, with their timeouts
and retries (their bodies are the worker's); `members` runs those of a team as child workflows; `inbox` holds what
arrives from outside (signals); `handover` decides when to continue as new. Imports only
`temporalio.workflow|common|exceptions`, `contracts` and `agent`.

A change here must replay every recorded history in tests/workflows/histories. The tests run it in the SDK's sandbox;
workers do without, for it costs a fifth of their processor time.
"""
