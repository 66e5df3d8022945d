"""The pure agent loop: given what happened so far, what comes next?

`state` holds what a run knows, `loop.next_step` decides, `limits` holds the budgets, `prompt` makes the first
messages; `skills` is the catalogue of built-in skills and their tools; `mcp` is what people say of MCP servers, with
`references` to variables; `teams` is what makes a run a coordinator's. No IO, clock, randomness or Temporal in here:
the workflow asks, does what it is told, and feeds the result back, so that the loop is tested as plain functions.
Imports only `contracts`.
"""
