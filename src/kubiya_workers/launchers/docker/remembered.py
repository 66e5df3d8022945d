"""Which container has a queue's worker: known until `kubiya worker clean`."""

from kubiya_workers.contracts.pool import ContainerRef
from kubiya_workers.settings.paths import Paths

from ..remembered import Remembered

_FILES = Remembered(ContainerRef, Paths.worker_container)
read, write, forget, all_ = _FILES.read, _FILES.write, _FILES.forget, _FILES.all_
