"""Where a queue's workers were installed from here: known until they are uninstalled."""

from kubiya_workers.contracts.pool import InstallationRef
from kubiya_workers.settings.paths import Paths

from ..remembered import Remembered

_FILES = Remembered(InstallationRef, Paths.worker_installation)
read, write, forget, all_ = _FILES.read, _FILES.write, _FILES.forget, _FILES.all_
