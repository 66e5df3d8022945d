"""What a process says about itself, and what it must never say.

- `logs`: one line a record, the same for our own code and for libraries; set up once by each process entry.
- `redaction`: secrets removed by value from any text, in whole or as it streams.

Every room above may log; only process entries call `logs.configure`. Neighbours: `settings` gives the level and the
format, `worker` redacts tool output and events with the secrets of an execution.
"""
