"""Upkeep: one keeper for each queue and home, which runs the queue's worker and tells the truth about it.

- `keeper`: starts the worker, hears it, watches its health, starts it again; `restarts` decides when, and when not.
- `rotation`: the worker's log, rotated; `reader` reads it back, across its files, and follows it.
- `records`: what is known of a kept worker, on the disk, corrected by what the kernel says of the processes.
- `daemon`: a keeper as a process of its own (`supervisor`), started, found and stopped; or in the foreground.
- `listing`: workers in one line each, as commands and the web interface show them.
- `init`: what is needed of the first process of a container.

Flow: `kubiya worker start` takes the queue's lock; the keeper, in that process or in a supervisor that inherits the
lock, spawns `venv/bin/python worker.py`, pumps its lines into the log, and writes the record at each change. Other
commands read the record, ask the worker over HTTP, and signal the keeper.
"""
