"""`kubiya worker start --type docker`: what it takes, and the container that it means."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubiya_workers.contracts.pool import ContainerRef, Record
from kubiya_workers.launchers import server
from kubiya_workers.launchers.docker import images, kept, tether
from kubiya_workers.launchers.docker.spec import (
    STOP_S,
    ContainerWorker,
    Pull,
    restart_policy,
    settings_of,
)
from kubiya_workers.launchers.litellm import config as litellm
from kubiya_workers.launchers.upkeep import daemon
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import Source
from kubiya_workers.settings.trust import Trust

from ... import talk
from ...bar import bar
from ...connect import reach
from ...output import details
from .in_docker import runs

if TYPE_CHECKING:
    from .starting import Wish


@dataclass(frozen=True)
class Asked:
    """What was said of the container."""

    image: str | None
    tag: str | None
    pull: Pull | None
    volumes: tuple[str, ...]

    @property
    def meant(self) -> str:
        """The image, by its whole name."""
        return images.named(self.image or Source.of_process().get(v.WORKER_IMAGE) or None, self.tag)

    def check(self, type_: str, cwd: Path | None) -> None:
        """That it belongs to the type of worker.

        Raises:
            UsageError: it does not.
        """
        if type_ == "docker":
            if cwd is not None:
                raise click.UsageError(
                    f"--cwd is a directory of this machine; mount it: --volume {cwd.resolve()}:/work"
                )
        elif any((self.image, self.tag, self.pull, self.volumes)):
            raise click.UsageError("--image, --image-tag, --pull and --volume are for --type docker.")


def container_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--image`, `--image-tag`, `--pull` and `--volume`, given to the command together as `container`."""

    @click.option("--image", help="The image of a worker in a container.  [default: KUBIYA_WORKER_IMAGE]")
    @click.option("--image-tag", help="Another tag of that image.")
    @click.option(
        "--pull", type=click.Choice([pull.value for pull in Pull]), help="When to pull it.  [default: missing]"
    )
    @click.option("--volume", "volumes", multiple=True, help="Mount this into it: SOURCE:TARGET[:ro]; may be repeated.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, image: str | None, image_tag: str | None, pull: str | None, volumes: tuple[str, ...], **rest: Any
    ) -> Any:
        asked = Asked(image, image_tag, Pull(pull) if pull else None, volumes)
        return command(*args, container=asked, **rest)

    return wrapped


async def in_the_background(known: ClientSettings, wish: "Wish", asked: Asked) -> tuple[ContainerRef, Record, bool]:
    """A container whose worker polls, what that says of itself, and whether it is a new one.

    Raises:
        NotStarted: it ended before it polled; with its own status and reason.
        Refusal: Docker, the image or the control plane cannot serve.
    """
    await _prepare(asked)
    if known.url is None:
        # It stays, as the worker does.
        await server.start_daemon(known, progress=talk.note)
    async with reach(known) as reached:
        spec = _spec(wish, asked, reached.url, reached.key)
        with daemon.held(known.paths, wish.queue):
            ref, new = await asyncio.to_thread(kept.start, known.paths, spec, talk.note)
            policy = restart_policy(spec) if new else None
            return ref, await asyncio.to_thread(kept.until_ready, wish.queue, ref, policy), new


async def in_the_foreground(known: ClientSettings, wish: "Wish", asked: Asked, echo: Callable[[bytes], None]) -> int:
    """Forward what a worker in a container says, until it ends; its exit status.

    Raises:
        Conflict: the queue's worker runs already.
        Refusal: Docker, the image or the control plane cannot serve.
    """
    await _prepare(asked)
    async with reach(known) as reached:
        spec = _spec(wish, asked, reached.url, reached.key)
        with daemon.held(known.paths, wish.queue):
            ref, new = await asyncio.to_thread(kept.start, known.paths, spec, talk.note)
            if not new:
                raise runs(wish.queue, ref)
            with tether.tethered(ref):
                return await _until_over(ref, echo)


async def _until_over(ref: ContainerRef, echo: Callable[[bytes], None]) -> int:
    following = asyncio.create_task(asyncio.to_thread(kept.follow, ref, echo), name="container")
    try:
        return await asyncio.shield(following)
    except asyncio.CancelledError:
        # Told to end: it drains, and how that went is this command's own status.
        await asyncio.to_thread(kept.stop, ref, STOP_S)
        return await following


async def _prepare(asked: Asked) -> None:
    """First: an image that cannot be had must not cost anything else."""
    with bar("Pulling") as fetched:
        await asyncio.to_thread(kept.prepare, asked.meant, asked.pull or Pull.MISSING, talk.note, fetched)


def _spec(wish: "Wish", asked: Asked, url: str, key: str) -> ContainerWorker:
    source = Source.of_process()
    source = Source({**source.environ, **wish.env})
    name = kept.name_of(wish.queue)
    env = {v.WORKER_HOSTNAME.name: name, **settings_of(source.environ), **_proxied(wish.proxy_config, source)}
    if wish.single:
        env[v.SINGLE_EXECUTION.name] = "true"
    return ContainerWorker(
        queue=wish.queue,
        url=url,
        key=key,
        name=name,
        mode=wish.mode,
        env=env,
        image=asked.meant,
        pull=Pull.NEVER,  # it was seen to
        limits=wish.limits,
        memory=source.get(v.MEMORY_LIMIT),
        cpus=source.get(v.CPU_LIMIT),
        volumes=asked.volumes,
        authorities=Path(trusted) if (trusted := Trust.of(source).file) else None,
    )


def _proxied(file: Path | None, source: Source) -> dict[str, str]:
    """A LiteLLM beside the worker, in the container too: its configuration, and the variables that this names."""
    if file is None:
        return {}
    import json

    config = litellm.read(file, source.environ)
    referred = {name: source.environ[name] for name in config.references() if name in source.environ}
    said = {v.ENABLE_LOCAL_PROXY.name: "true", v.PROXY_CONFIG_JSON.name: json.dumps(config.content)}
    return {**referred, **said}


def started(ref: ContainerRef, record: Record, new: bool) -> str:
    queue = record.queue
    facts = details(
        (
            ("Queue", queue),
            ("Worker", record.worker_id),
            ("Container", f"{ref.name} ({ref.id[:12]})"),
            ("Image", ref.image),
            ("Look", f"kubiya worker status --queue-id={queue}"),
            ("Log", f"kubiya worker logs --queue-id={queue}"),
            ("Stop", f"kubiya worker stop --queue-id={queue}"),
        )
    )
    return f"{'Started' if new else 'There is already'} the worker of queue {queue}, in a container.\n{facts}"
