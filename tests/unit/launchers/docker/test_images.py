"""Which image is meant, and when it is pulled; with a stand-in for the daemon."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from kubiya_workers.contracts.errors import Invalid, NotFound, Unavailable
from kubiya_workers.launchers.docker.engine import Docker
from kubiya_workers.launchers.docker.images import named, obtain
from kubiya_workers.launchers.docker.spec import IMAGE, Pull

OURS, TAG = IMAGE.split(":")
THEIRS = "registry.example.com:5000/team/worker:2"


class Registry:
    """A daemon with some images, and a registry with others."""

    def __init__(self, here: dict[str, str], there: dict[str, str] | None = None) -> None:
        self.here = here
        self.there = there or {}
        self.pulled: list[str] = []

    def user_of(self, image: str) -> str | None:
        return self.here.get(image)

    def pulling(self, image: str) -> Iterator[Mapping[str, Any]]:
        self.pulled.append(image)
        if image not in self.there:
            raise Unavailable("manifest unknown")
        for current in range(0, 101, 20):
            yield {"id": "layer", "status": "Downloading", "progressDetail": {"current": current, "total": 100}}
        self.here[image] = self.there[image]


def obtained(registry: Registry, image: str, pull: Pull) -> tuple[int, list[str]]:
    said: list[str] = []
    return obtain(cast("Docker", registry), image, pull, said.append), said


@pytest.mark.parametrize(
    ("image", "tag", "meant"),
    [
        (None, None, IMAGE),
        (None, "9.9", f"{OURS}:9.9"),
        (THEIRS, None, THEIRS),
        ("team/worker", "2", "team/worker:2"),
        ("registry.example.com:5000/team/worker", "2", THEIRS),
    ],
)
def test_which_image_is_meant(image: str | None, tag: str | None, meant: str) -> None:
    assert named(image, tag) == meant


def test_a_tag_is_given_once() -> None:
    with pytest.raises(Invalid, match="has a tag already"):
        named(THEIRS, "3")


def test_ours_is_never_pulled() -> None:
    registry = Registry({}, {IMAGE: "10001"})
    for pull in Pull:
        with pytest.raises(NotFound, match="never pulled") as refused:
            obtained(registry, IMAGE, pull)
        assert "make image" in (refused.value.fix or "")
    assert registry.pulled == []


@pytest.mark.parametrize(
    ("pull", "here", "pulled"),
    [(Pull.MISSING, True, False), (Pull.MISSING, False, True), (Pull.ALWAYS, True, True), (Pull.NEVER, True, False)],
)
def test_when_it_is_pulled(pull: Pull, here: bool, pulled: bool) -> None:
    registry = Registry({THEIRS: "10001:0"} if here else {}, {THEIRS: "10001:0"})
    user, said = obtained(registry, THEIRS, pull)
    assert user == 10001
    assert registry.pulled == ([THEIRS] if pulled else [])
    assert ("  100 % of 100" in said) == pulled


def test_what_cannot_be_pulled_says_so() -> None:
    with pytest.raises(NotFound, match="cannot be pulled: manifest unknown"):
        obtained(Registry({}), THEIRS, Pull.MISSING)
    with pytest.raises(NotFound, match="not to be pulled"):
        obtained(Registry({}), THEIRS, Pull.NEVER)


def test_a_user_by_name_cannot_be_given_a_private_file() -> None:
    assert obtained(Registry({THEIRS: ""}), THEIRS, Pull.NEVER)[0] == 0
    with pytest.raises(Invalid, match="'app'"):
        obtained(Registry({THEIRS: "app"}), THEIRS, Pull.NEVER)
