"""`kubiya worker unit`: for those who would rather have systemd keep their workers."""

import shutil
import sys
from pathlib import Path

import click

from kubiya_workers.settings.paths import Paths

from ...connect import settings
from .words import queue_option

_UNIT = """\
# A worker of queue {queue}, kept by systemd. Write this to {place}, then:
#   systemctl{user} daemon-reload && systemctl{user} enable --now kubiya-worker-{queue}
# Its settings, one NAME=value a line (KUBIYA_API_KEY, CONTROL_PLANE_URL, …), are read from a file for its user alone:
#   install -m 600 /dev/null {settings}

[Unit]
Description=Kubiya worker of queue {queue}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=-{settings}
Environment=KUBIYA_HOME={home}
ExecStart={command} worker start --queue-id={queue} --type=local
# Status 0 means that it was told to end, or that its job is done.
Restart=on-failure
RestartSec=5
# The worker drains when its command is told to end; what is left after that is killed.
KillMode=mixed
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy={target}
"""


@click.command()
@queue_option
@click.option("--user", is_flag=True, help="A unit for your own systemd (systemctl --user).")
def unit(queue: str, user: bool) -> None:
    """Print a systemd unit that runs the worker of a queue.

    \b
    kubiya worker unit --queue-id=my-queue | sudo tee /etc/systemd/system/kubiya-worker-my-queue.service
    """
    click.echo(_text(settings().paths, queue, user=user), nl=False)


def _text(paths: Paths, queue: str, *, user: bool) -> str:
    directory = "~/.config/systemd/user" if user else "/etc/systemd/system"
    return _UNIT.format(
        queue=queue,
        place=f"{directory}/kubiya-worker-{queue}.service",
        settings=_escaped(paths.home / f"{queue}.env"),
        home=_escaped(paths.home),
        command=_escaped(_command()),
        target="default.target" if user else "multi-user.target",
        user=" --user" if user else "",
    )


def _command() -> Path:
    """This command, by its absolute path."""
    found = shutil.which(sys.argv[0])
    return Path(found or Path(sys.executable).with_name("kubiya")).absolute()


def _escaped(path: Path) -> str:
    """As systemd reads a path: `%` begins a specifier, and a blank ends a word."""
    return str(path).replace("%", "%%").replace(" ", "\\x20")
