"""Which provisioner the settings ask for."""

from kubiya_workers.settings import on_demand
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from ..docker.spec import IMAGE
from ..guard import Guard
from .port import Provisioner, passed


def provisioner(kind: str, paths: Paths, guard: Guard, owner: str) -> Provisioner:
    """Of this kind; `owner` is the name of the control plane that it works for.

    Raises:
        BadSetting: it cannot be had here.
    """
    environ = Source.of_process().everything
    image = environ.get(v.WORKER_IMAGE.name) or IMAGE
    match kind:
        case on_demand.PROCESS:
            from .processes import Processes

            return Processes(paths.on_demand, guard)
        case on_demand.DOCKER:
            from .containers import Containers

            return Containers(owner, image, passed(environ))
        case on_demand.KUBERNETES:
            from .jobs import Jobs

            return Jobs(owner, image, passed(environ))
        case _:
            raise BadSetting(f"{v.PROVISIONER.name}={kind!r}: there is no such provisioner")
