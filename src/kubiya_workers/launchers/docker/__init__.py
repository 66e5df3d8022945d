"""Workers in containers, by the Docker SDK: what `kubiya worker start --type=docker` stands on.

- `spec`: what is to run, and what that means for Docker.
- `engine`: the daemon, in our words and with our errors; the SDK is imported there alone, and only when it is used.
- `images`: the image that is there, or pulled.
- `kept`: the container of a queue: started, waited for, looked at, stopped; `remembered` is the file that names it.
- `inside`: what the worker's own command says in there; `lines` is its log.
- `tether`: ends a container with the command that runs it in a terminal.
- `single`: a container that takes one execution, for a provisioner.
- `healthcheck`: what the images run to say how they are.

Flow: the container is a machine of its own. The image's command, `kubiya worker start`, is the keeper of the worker in
there; Docker restarts the container, keeps its log and limits it. This side names the container in the queue's
directory, and asks Docker, or the `kubiya` command in the container, whatever it wants to know.
"""
