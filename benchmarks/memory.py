"""What an idle control plane and an idle worker hold, after a first run, resident."""

import asyncio

import psutil

from .effort import Effort
from .figures import Figure
from .installation import Spawned, installation
from .wire import Api

WORKER_MB, CONTROL_PLANE_MB = 120.0, 150.0


async def measure(effort: Effort) -> list[Figure]:
    with installation() as made:
        server = made.start_server(made.start_model())
        worker, bare = made.start_worker(), made.start_bare_worker()
        api = Api(made.url, made.key)
        await api.run("ours")
        await api.close()
        await asyncio.sleep(effort.idle_s)
        temporal = _megabytes(*(p for p in psutil.Process(server.process.pid).children() if "start-dev" in p.cmdline()))
        note = f"after {effort.idle_s:.0f} s without work"
        return [
            Figure("bare Temporal: worker, resident", _resident(bare), "MB", 1, note=note),
            Figure("worker, resident", _resident(worker), "MB", 1, budget=WORKER_MB, note=_with_guards(worker)),
            Figure(
                "control plane, resident",
                _resident(server),
                "MB",
                1,
                budget=CONTROL_PLANE_MB,
                note=f"and Temporal {temporal:.0f} MB",
            ),
        ]


def _resident(spawned: Spawned) -> float:
    return _megabytes(psutil.Process(spawned.process.pid))


def _with_guards(spawned: Spawned) -> str:
    return f"and its guard {_megabytes(*psutil.Process(spawned.process.pid).children()):.0f} MB"


def _megabytes(*processes: psutil.Process) -> float:
    return sum(process.memory_info().rss for process in processes) / 1e6
