"""The `kubiya` command: words in, one request, data on stdout, talk on stderr, an exit status.

- `app` finds the command in `table` and imports only that one; `front` is what `kubiya --help` says.
- `commands/`: one file a group; a command turns its words into contract types and calls the client.
- `connect`: which control plane a command reaches, started on demand when none is configured.
- `local_run`, `remote_run`, `following`: how `exec` runs; `planned_run`: by a plan, which `plan_files` keeps;
  `find_agent`: by what an agent is for; `render/`: the same events as text, as JSON lines, as silence.
- `output`: data as text, JSON or YAML; `talk`: everything said to people; `running`: signals; `exit`: the one edge
  where errors become words and exit statuses.
- `kept`: what is left of a failed run's worker; `bar`: how far something is fetched.
- `serve`, `composition`, `lifetime`: the control plane's own process, started by `server` commands and `launchers`;
  `fleet`: its web interface; `planning`: how it asks models for plans.

Nothing heavy is imported before a command needs it: `kubiya --version` loads neither pydantic nor httpx nor click.
"""
