"""The parts of a running console; every route works on them."""

from dataclasses import dataclass, replace

from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from .contact import ControlPlane
from .door import Names, Sessions
from .forward import Forward
from .live import LiveView
from .logs import Logs
from .pages import Pages
from .pool import Pool


@dataclass(frozen=True)
class Parts:
    """Made once by the process."""

    paths: Paths
    names: Names
    sessions: Sessions
    plane: ControlPlane
    forward: Forward
    live: LiveView
    pool: Pool
    pages: Pages
    logs: Logs

    def known(self) -> ClientSettings:
        """The settings of a command of this user, for the control plane that is shown."""
        source, target = Source.of_process(), self.plane.target
        known = ClientSettings.of(source)
        return replace(known, paths=self.paths, url=None if target.embedded else target.url, key=target.key)
