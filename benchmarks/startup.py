"""How long a person waits: commands, a worker, and the first model call of `kubiya exec --local`."""

import asyncio
import subprocess
import time
from collections.abc import Mapping, Sequence

from kubiya_workers.testing import ScriptedModel

from .effort import Effort
from .figures import Figure, median, of_samples
from .installation import KUBIYA, PYTHON, Installation, Spawned, installation
from .wire import Api

COMMAND_RATIO = 6.0
WORKER_S, FIRST_WORKER_S = 2.0, 5.0
SINGLE_ENDS_S = 1.0
WITH_SERVER_S, WITH_NOTHING_S = 2.0, 4.0


async def measure(effort: Effort) -> list[Figure]:
    # It may block: nothing else runs in this loop, and the model has a thread of its own.
    with installation() as made, ScriptedModel() as model:
        commands = _commands(made, effort.commands)
        with_nothing = [_first_call(made, model) for _ in range(effort.starts + 1)]
        made.start_server(model.url)
        workers = _workers(made, effort.starts)
        ends = [await _single(made) for _ in range(effort.starts)]
        with_server = [_first_call(made, model) for _ in range(effort.starts)]
    first, *again = with_nothing
    return [
        *commands,
        *workers,
        of_samples("worker of one execution: done → ended", "s", ends, budget=SINGLE_ENDS_S),
        of_samples("exec --local → first model call, server running", "s", with_server, budget=WITH_SERVER_S),
        of_samples("exec --local → first model call, nothing running", "s", again, budget=WITH_NOTHING_S),
        Figure("the same in an empty home", first, "s", 1, budget=WITH_NOTHING_S),
    ]


def _commands(made: Installation, count: int) -> list[Figure]:
    asked = {
        "python -c pass": (PYTHON, "-c", "pass"),
        "kubiya --version": (KUBIYA, "--version"),
        "kubiya --help": (KUBIYA, "--help"),
    }
    samples: Mapping[str, list[float]] = {name: [] for name in asked}
    for _ in range(count):
        for name, words in asked.items():
            samples[name].append(_ms(words, made.environment()))
    bare, *ours = asked
    figures = [of_samples(name, "ms", samples[name]) for name in asked]
    for name in ours:
        ratio = median(samples[name]) / median(samples[bare])
        figures.append(Figure(f"{name}, to {bare}", ratio, "×", count, budget=COMMAND_RATIO))
    return figures


def _ms(words: Sequence[str], environ: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, env=environ, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def _workers(made: Installation, count: int) -> list[Figure]:
    """`kubiya worker start` of a queue that is new, then again; beside the bare worker's start."""
    ours = [_until_ready(_start_worker(made)) for _ in range(count + 1)]
    bare = [_until_ready(made.spawn_bare_worker()) for _ in range(count)]
    first, *again = ours
    return [
        of_samples("bare Temporal: worker start → started", "s", bare),
        of_samples("kubiya worker start → ready", "s", again, budget=WORKER_S),
        Figure("kubiya worker start → ready, the first time", first, "s", 1, budget=FIRST_WORKER_S),
    ]


def _start_worker(made: Installation) -> Spawned:
    return made.spawn(KUBIYA, "worker", "start", "--queue-id=bench", "--type=local")


async def _single(made: Installation) -> float:
    """From the end of its one execution to the end of the command."""
    env = {"CONTROL_PLANE_URL": made.url, "KUBIYA_API_KEY": made.key}
    worker = made.spawn(KUBIYA, "worker", "start", "--queue-id=once", "--single-execution", env=env)
    worker.until_said("Ready")
    api = Api(made.url, made.key)
    await api.run("once")
    done = time.monotonic()
    await asyncio.to_thread(worker.process.wait, 30)
    await api.close()
    return time.monotonic() - done


def _until_ready(worker: Spawned) -> float:
    worker.until_said("Ready")
    seconds = time.monotonic() - worker.began
    worker.end()
    return seconds


def _first_call(made: Installation, model: ScriptedModel) -> float:
    """Run a prompt on this machine; seconds from the command's start to its call at the model."""
    upstream = {"KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_MODEL": "scripted"}
    before = len(model.chats)
    command = made.spawn(KUBIYA, "exec", "--local", "Say something.", "--yes", env=upstream)
    status = command.process.wait(60)
    if status != 0:
        raise RuntimeError(f"kubiya exec --local ended with {status}: {command.output.read_text()[-2000:]}")
    return model.chats[before].at - command.began
