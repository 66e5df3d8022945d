"""The page that Prometheus reads, and what keeps it small."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
_LONGEST = 120


class Collector(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class _Lean(NamedTuple):
    """A registry without the client library's `_created` series: they double a page, and nothing reads them."""

    registry: Collector

    def collect(self) -> Iterator[Metric]:
        for metric in self.registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            if metric.samples:
                yield metric


def page(registry: Collector) -> bytes:
    """All of a registry in the text format 0.0.4. Families that have no series yet are left out."""
    return generate_latest(_Lean(registry))  # pyright: ignore[reportArgumentType]  # it only calls collect()


class Bounded:
    """Label values that come from outside: each different one is a series for ever, so only the first `most` keep
    their names, and all further ones are `other`."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        known = self._known.get(name)
        if known is not None:
            return known
        if len(self._known) >= self._most:
            return OTHER
        # Half a surrogate pair, which models write, would make the page impossible to encode.
        return self._known.setdefault(name, name[:_LONGEST].encode("utf-8", "replace").decode())
