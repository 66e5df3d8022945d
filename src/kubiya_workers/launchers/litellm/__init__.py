"""LiteLLM, the proxy to every provider of models: installed, configured, started, and kept running.

- `install`: a pinned LiteLLM, by hash, in an environment of its own; `requirements.txt` is the whole of it.
- `config`: a configuration of the user's, checked before anything is started.
- `proxy`: the process, kept while its owner lives; `runner` is what runs in it, on LiteLLM's own Python.
- `standing`: what its owner says of it, and what people want of it; `refusing` answers while a person has stopped it.

It is used by the gateway of a control plane and beside a worker. It answers on loopback only, keeps no database, and
sends nothing home. Its owner holds the socket that it listens on: the address stays through restarts, and who calls
while there is none waits for the next one, unless a person has stopped it.
"""
