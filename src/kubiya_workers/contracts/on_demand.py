"""What a control plane says of the workers that it starts on demand."""

from .wire import Wire

KEPT_WORKER = "kept_worker"
"""Where an execution's `execution_metadata` tells of it: a `KeptWorker`."""


class KeptWorker(Wire):
    """A worker that was left for inspection; `look` and `remove` are commands for the host it is on."""

    provisioner: str
    name: str
    look: str
    remove: str
