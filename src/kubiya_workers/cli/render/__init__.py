"""How a run is shown: the same typed events as text for people, as JSON lines for programs, or as one status line.

- `renderer`: what every renderer can do.
- `text`: the answer on stdout, tool calls and status on stderr; `words`: the words of each event, pure.
- `members`: those of a team's members, beneath it.
- `screen`: stderr with or without a terminal behind it; `lines`: one JSON object an event; `quiet`: waits only.
- `neutral`: makes text of models and tools harmless to a terminal.

Flow: `client` yields events → a renderer matches each exhaustively → `screen` and stdout.
"""
