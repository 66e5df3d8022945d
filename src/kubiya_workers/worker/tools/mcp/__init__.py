"""Tools of servers that speak the Model Context Protocol.

`servers` keeps one connection for each execution and server: made when it is first needed, kept warm between steps,
made anew after a change of worker or an idle time, ended with its run. A `connection` is the SDK's client over our own
streams: those of a `program`, which is supervised as every tool is (a session of its own, adopted by the guard, only
the environment that it was given), or of an `endpoint` that speaks streamable HTTP. `target` puts the execution's
variables into a configuration; `offers` makes our tools of what a server says it has, `answers` a result of its answer.

What a server says is untrusted: bounded, without control characters, and its hints on what its tools do are only
believed where its configuration says so. We declare no capability: no sampling, elicitation or roots. Changes of its
list within a run are ignored, so that every step and every replay sees the same tools.

`program`, `endpoint`, `connection` and `answers` import the SDK, which costs a third of a worker's memory: `servers`
imports them once a server is needed.
"""

from .servers import Servers

__all__ = ["Servers"]
