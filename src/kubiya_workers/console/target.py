"""The control plane that is shown, and the key to it."""

from dataclasses import dataclass, field

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.launchers import state
from kubiya_workers.launchers.spec import Endpoint
from kubiya_workers.settings.paths import Paths


@dataclass(frozen=True)
class Target:
    """A configured one, or the embedded one of this home, which may come back at another address."""

    paths: Paths
    url: str
    key: str = field(repr=False)
    embedded: bool

    def now(self) -> Endpoint:
        """Where it is at this moment.

        Raises:
            Unavailable: the embedded one does not run.
        """
        if not self.embedded:
            return Endpoint(self.url, self.key)
        running = state.read(self.paths)
        if running is None:
            raise Unavailable("the control plane of this machine does not run", fix="kubiya server start")
        return Endpoint(running.url, self.key)
