"""What is durable: the workflow of an execution, sandboxed and deterministic.

`execution` asks the pure loop what comes next and does it; `calls` knows the activities by name, with their timeouts
and retries (their bodies are the worker's); `members` runs those of a team as child workflows; `inbox` holds what
arrives from outside (signals); `handover` decides when to continue as new. Imports only
`temporalio.workflow|common|exceptions`, `contracts` and `agent`.

A change here must replay every recorded history in tests/workflows/histories.
"""
