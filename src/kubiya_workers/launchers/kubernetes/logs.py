"""The log of an installation: what its pods have said, and what they, and those to come, say from here on."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from kubiya_workers.contracts.errors import Invalid, NotFound, Refusal
from kubiya_workers.contracts.pool import InstallationRef

from .. import stamped
from ..upkeep.reader import Wanted, head, select, selected
from .cluster import Cluster, connected
from .looking import pods_of
from .objects import name_of, part
from .spec import CONTAINER

Record = list[str]
Arrived = queue.SimpleQueue["Record | Refusal"]

_QUIET_S = 0.2
_NEW_PODS_S = 1.0
_FIRST = datetime.min.replace(tzinfo=UTC)


class Logs:
    """What the pods of an installation say. It remembers how far each pod was read, so that nothing is shown twice."""

    def __init__(self, ref: InstallationRef) -> None:
        self._ref = ref
        self._last: dict[str, str] = {}

    def there(self, wanted: Wanted, tail: int | None) -> Iterator[Record]:
        """The wanted records of all pods, oldest first; the last `tail` of them.

        Raises:
            NotFound: there is no pod that has begun.
            Refusal: the cluster does not answer, or not to us.
        """
        with connected(self._ref.kubeconfig, self._ref.context) as cluster:
            pods = begun(cluster, self._ref)
            if not pods:
                raise NotFound(
                    f"no pod of {self._ref.name} in {self._ref.namespace} has begun",
                    fix=f"kubiya worker status --queue-id={self._ref.queue}",
                )
            found = [one for pod in pods for one in self._of(cluster, pod, wanted, tail)]
        found.sort(key=lambda one: one[0])
        for _, pod, record in found if tail is None else found[max(0, len(found) - tail) :]:
            yield record if len(pods) == 1 else named(record, pod)

    def _of(
        self, cluster: Cluster, pod: str, wanted: Wanted, tail: int | None
    ) -> Iterator[tuple[datetime, str, Record]]:
        def lines() -> Iterator[str]:
            with suppress(Invalid, NotFound):  # its container is about to begin, or it has just gone
                for moment, line in stamped.lines(cluster.log(self._ref.namespace, pod, CONTAINER)):
                    self._last[pod] = moment
                    yield line

        moment = _FIRST
        for record in select(lines(), wanted, tail=tail):
            moment = (head(record[0]) or (moment, 0))[0]
            yield moment, pod, record

    def to_come(self, wanted: Wanted) -> Iterator[Record]:
        """What all pods say from here on, until whoever reads stops; those that come are read from their first word.

        Raises:
            Refusal: the cluster does not answer any more.
        """
        arrived: Arrived = queue.SimpleQueue()
        threading.Thread(target=self._follow_all, args=(wanted, arrived), name="pods", daemon=True).start()
        while True:
            record = arrived.get()
            if isinstance(record, Refusal):
                raise record
            yield record

    def _follow_all(self, wanted: Wanted, arrived: Arrived) -> None:
        followed: set[str] = set()
        try:
            with connected(self._ref.kubeconfig, self._ref.context) as cluster:
                while True:
                    for pod in set(begun(cluster, self._ref)) - followed:
                        followed.add(pod)
                        words = (pod, wanted, arrived)
                        threading.Thread(target=self._follow, args=words, name=pod, daemon=True).start()
                    time.sleep(_NEW_PODS_S)
        except Refusal as error:
            arrived.put(error)

    def _follow(self, pod: str, wanted: Wanted, arrived: Arrived) -> None:
        """Forward a pod's records, as long as there is that pod."""
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        over = threading.Event()

        def pump() -> None:
            try:
                self._pump(pod, lines)
            except Refusal as error:
                arrived.put(error)
            finally:
                over.set()

        threading.Thread(target=pump, name=f"{pod}-log", daemon=True).start()
        for record in selected(_coming(lines, over), wanted):
            arrived.put(named(record, pod))

    def _pump(self, pod: str, lines: "queue.SimpleQueue[str | None]") -> None:
        """Read a pod's lines in a connection of its own; again each time that its container was started again."""
        ref, last = self._ref, self._last.get(pod, "")
        with connected(ref.kubeconfig, ref.context) as cluster:
            while True:
                try:
                    # Asked for by the second, and exact to the nanosecond: what was seen is left out here.
                    since = f"{last[:19]}Z" if last else ""
                    for moment, line in stamped.lines(
                        cluster.log(ref.namespace, pod, CONTAINER, follow=True, since=since)
                    ):
                        if moment > last:
                            last = moment
                            lines.put(line)
                except NotFound:
                    return
                except Invalid:
                    pass  # its container is about to begin
                time.sleep(_NEW_PODS_S)
                if pod not in begun(cluster, ref):
                    return


def _coming(lines: "queue.SimpleQueue[str | None]", over: threading.Event) -> Iterator[str | None]:
    while True:
        try:
            yield lines.get(timeout=_QUIET_S)
        except queue.Empty:
            if over.is_set() and lines.empty():
                return
            yield None


def begun(cluster: Cluster, ref: InstallationRef) -> list[str]:
    """The pods that have a log."""
    pods = pods_of(cluster, ref)
    return sorted(name_of(pod) for pod in pods if part(pod, "status").get("phase") not in (None, "Pending"))


def named(record: Record, pod: str) -> Record:
    """A record after the end of its pod's name, which is what tells it from the others."""
    return [f"[{'-'.join(pod.split('-')[-2:])}] {record[0]}", *record[1:]]
