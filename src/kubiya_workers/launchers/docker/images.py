"""The image of a worker: one that is here, or pulled."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubiya_workers.contracts.errors import Invalid, NotFound, Refusal
from kubiya_workers.settings.quantities import show_size

from .engine import Docker
from .spec import IMAGE, Pull

Progress = Callable[[str], None]
Fetched = Callable[[int, int], None]
"""Told how many bytes have come, of how many that are known to come."""


def named(image: str | None, tag: str | None) -> str:
    """The image that is meant: the default one, one of its tags, or the user's with one.

    Raises:
        Invalid: a tag was given twice.
    """
    repository, colon, own = (image or IMAGE).rpartition(":")
    if tag is None:
        return image or IMAGE
    if not colon or "/" in own:
        return f"{image}:{tag}"
    if image is not None:
        raise Invalid(f"the image {image} has a tag already", fix="leave out --image-tag")
    return f"{repository}:{tag}"


def obtain(docker: Docker, image: str, pull: Pull, progress: Progress, fetched: Fetched | None = None) -> int:
    """See to it that the image is here; the user id that its processes have.

    `fetched` is told of each piece that is pulled; without it, `progress` is told of each tenth.

    Raises:
        NotFound: it is not here and is not to be, or cannot be, pulled.
        Invalid: its user cannot be given a private file.
    """
    user = docker.user_of(image)
    if is_ours_alone(image):
        if user is None:
            raise _missing(image, "it is made on this machine, and never pulled")
    elif pull is Pull.ALWAYS or (user is None and pull is Pull.MISSING):
        _pull(docker, image, progress, fetched)
        user = docker.user_of(image)
    if user is None:
        raise _missing(image, "and --pull never says that it is not to be pulled")
    return _number(image, user)


def is_ours_alone(image: str) -> bool:
    """Whether it has the name of the image that `make image` makes: in a registry that name would be somebody's."""
    return image.rpartition(":")[0] == IMAGE.rpartition(":")[0]


def _missing(image: str, why: str) -> NotFound:
    return NotFound(
        f"there is no image {image} here: {why}",
        fix="make it from a checkout: make image; or name another: --image, KUBIYA_WORKER_IMAGE",
    )


def _pull(docker: Docker, image: str, progress: Progress, fetched: Fetched | None) -> None:
    progress(f"Pulling {image}")
    tell = fetched or _by_tenths(progress)
    try:
        for done, total in _steps(docker.pulling(image)):
            tell(done, total)
        progress(f"Pulled {image}")
    except Refusal as error:
        raise NotFound(
            f"the image {image} cannot be pulled: {error.detail}",
            fix="docker login, --image, or --pull never for one that is here",
        ) from error


def _steps(said: Iterator[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    """What has come, of what is known to come: layers are announced as they begin."""
    sizes: dict[str, tuple[int, int]] = {}
    for step in said:
        detail: Mapping[str, Any] = step.get("progressDetail") or {}
        if step.get("status") != "Downloading" or not detail.get("total"):
            continue
        sizes[str(step.get("id"))] = (int(detail["current"]), int(detail["total"]))
        done, total = (sum(column) for column in zip(*sizes.values(), strict=True))
        yield done, total


def _by_tenths(progress: Progress) -> Fetched:
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            progress(f"  {told * 10} % of {show_size(total)}")

    return tell


def _number(image: str, user: str) -> int:
    name = user.partition(":")[0]
    if not name:
        return 0
    if name.isdecimal():
        return int(name)
    raise Invalid(
        f"the image {image} runs as {name!r}: only a user given by number can be handed a private file",
        fix="in its Dockerfile: USER 10001",
    )
