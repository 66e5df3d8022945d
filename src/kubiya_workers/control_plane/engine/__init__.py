"""Temporal as the control plane uses it, and the embedded Temporal server.

- `embedded`: the real server as a child of this process, when no cluster is configured.
- `temporal`: executions as workflows: start, signal, cancel, end, and what is known of a running one.

Neighbours: the services declare the port that `temporal` implements; `client.payloads` says how values travel;
`launchers.guard` makes sure that the child never outlives us. Temporal's own errors are renamed here and go no
further.
"""
