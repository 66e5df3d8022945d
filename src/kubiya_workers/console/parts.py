"""The parts of a running console; every route works on them."""

from dataclasses import dataclass

from kubiya_workers.settings.paths import Paths

from .contact import ControlPlane
from .door import Names, Sessions
from .forward import Forward
from .live import LiveView
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
