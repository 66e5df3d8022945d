"""`kubiya worker`: workers of this machine started, looked at, tended and ended; those of a control plane listed."""

import click

from .asking import drain
from .ending import clean, restart, stop
from .installing import install, uninstall
from .logs import logs
from .looking import list_, status
from .pausing import pause, resume
from .starting import start
from .unit import unit


@click.group("worker")
def group() -> None:
    """Start workers, look at them, pause and end them.

    \b
    kubiya worker start --queue-id=my-queue --type=local       in this terminal
    kubiya worker start --queue-id=my-queue --type=local -d    in the background
    kubiya worker install --queue=my-queue                     in a Kubernetes cluster
    kubiya worker status --queue-id=my-queue
    kubiya worker logs --queue-id=my-queue --follow
    kubiya worker stop --queue-id=my-queue
    """


for command in (start, stop, restart, status, list_, logs, pause, resume, drain, clean, install, uninstall, unit):
    group.add_command(command)
