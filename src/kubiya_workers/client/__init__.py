"""The typed client of a control plane: everything that a command or a worker asks of one.

- `http`: `ControlPlaneClient`, the facade; `connection`: one request out, one typed answer or refusal back;
  `errors`: what failed answers and silent networks become.
- One file a resource (`agents`, `executions`, …): each method is one route.
- `trust`: which certificate authorities are believed; `temporal_*`: what whoever connects to Temporal has in common;
  `relay`: bytes passed on, both ways.
- `sse` follows an execution's stream, `events` appends to it, `payloads` carries bodies between Temporal and the store.

Flow: a method builds a contract type, `connection` sends it, and the answer comes back as a contract type. Nothing
here decides, prints or reads the environment.
"""
