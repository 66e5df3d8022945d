"""A machine with a worker and its web interface, and what its agents are to say and do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from kubiya_workers.testing import Reply, ScriptedModel, error, tool

from ..e2e.installation import ports_of_its_own
from ..e2e.machine import Machine, until

QUEUE = "demo"
ON = {"KUBIYA_WEBUI": "true", "KUBIYA_WEBUI_PORT": "0"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
ANSWER = """The repository has **three** parts:

| part | files |
| --- | --- |
| `src` | 214 |
| `tests` | 96 |

```python
def hello() -> str:
    return "world"
```

Its tests pass."""
LISTING = r"printf '\033[1;32mok\033[0m   tests/unit  214 passed\n\033[33mwarn\033[0m one is slow\n'"
SCRIPT: dict[str, Any] = {
    "Look at this repository": [
        replace(
            tool("shell", {"command": LISTING}, text="I look at it."), reasoning="First its files, then its tests."
        ),
        tool("shell", {"command": "ls -la; sleep 1"}),
        Reply(ANSWER, reasoning="Now I know."),
    ],
    "Print something hostile": [tool("shell", {"command": f"echo {json.dumps(HOSTILE)}"}), f"It printed {HOSTILE}"],
    "Count slowly": [Reply(" ".join(str(number) for number in range(4000)), tokens_per_s=8)],
    "Ask before": [tool("shell", {"command": "echo approved"}), "Done, as you allowed."],
    "Lead the": [tool("delegate", {"member": "careful", "task": "Ask before it."}), "The team is done."],
    "Fail at": [error(400, "this model does not speak that language")],
    "Say hello": ["Hello."],
}


@dataclass
class Stack:
    """What runs, and the way to it."""

    machine: Machine
    model: ScriptedModel

    def address(self) -> str:
        """One that lets a browser in, once."""
        opened: Any = self.machine.json("ui", "--no-open")
        return str(opened["open"])

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address())
        return f"{parts.scheme}://{parts.netloc}"

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The control plane's own API."""
        state: Any = self.machine.json("server", "status")
        key = (self.machine.home / ".kubiya/server/credentials").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.request(method, f"{state['url']}/api/v1{path}", headers=headers, timeout=30, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def submit(self, prompt: str, *, agent: str = "default", **fields: Any) -> str:
        body = {"prompt": prompt, "worker_queue_id": QUEUE, **fields}
        return str(self.call("POST", f"/agents/{agent}/execute", json=body)["id"])

    def job(self, name: str, **fields: Any) -> str:
        """A new one, triggered by hand unless they say otherwise; its id."""
        body = {"name": name, "trigger_type": "manual", "entity_id": "default", "prompt_template": "Say hello"}
        place = {"executor_type": "specific_queue", "worker_queue_name": QUEUE}
        return str(self.call("POST", "/jobs", json={**body, **place, **fields})["id"])

    def until_status(self, execution: str, *statuses: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def there() -> bool:
            found.update(self.call("GET", f"/executions/{execution}"))
            return found["status"] in statuses

        until(there, f"{execution} is {statuses}", 60)
        return found


@contextmanager
def stack(root: Path, **environ: str) -> Iterator[Stack]:
    """Started by the commands that a person would use; nothing of it is left."""
    with ScriptedModel(SCRIPT) as model:
        access = {"KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_API_KEY": "none", "KUBIYA_LLM_MODEL": "scripted"}
        # Its server may be started again, and has to be where it was.
        machine = Machine(root, {**ON, **access, **ports_of_its_own(), **environ})
        try:
            started = machine.run("worker", "start", f"--queue-id={QUEUE}", "--type=local", "-d")
            assert started.returncode == 0, started.stderr
            until((machine.home / ".kubiya/console/console.json").exists, "the web interface is up")
            made = Stack(machine, model)
            asks = {"name": "asks-first", "type": "shell", "configuration": {"approval": "always"}}
            made.call("POST", "/skills", json=asks)
            made.call("POST", "/agents", json={"name": "careful", "skill_ids": ["asks-first"]})
            made.call("POST", "/teams", json={"name": "crew", "members": ["careful"]})
            yield made
            assert machine.run("worker", "stop", f"--queue-id={QUEUE}").returncode == 0
            assert machine.run("server", "stop").returncode == 0
            machine.assert_nothing_left()
        finally:
            machine.kill_everything()


FAR = "far"


@dataclass
class Fleet:
    """A control plane with a worker beside it, on the host `north`, and another on the host `south`."""

    made: Stack
    south: Machine

    @property
    def origin(self) -> str:
        """Where the control plane's own pages are."""
        state: Any = self.made.machine.json("server", "status")
        return f"{state['url']}/ui"

    def address(self) -> str:
        """One that lets a browser in, once."""
        opened: Any = self.made.machine.json("ui", "--fleet", "--no-open")
        return str(opened["open"])

    def key(self, scope: str) -> dict[str, str]:
        """A fresh one: its `id`, and the `key` itself."""
        made: Any = self.made.call("POST", "/keys", json={"name": f"{scope} key", "scope": scope})
        return made

    def worker(self, queue: str = FAR) -> dict[str, Any]:
        """The queue's worker, as the control plane knows it."""
        found: list[dict[str, Any]] = []

        def lives() -> bool:  # one that was given up registers anew: for a moment there is none
            found[:] = self.made.call("GET", f"/worker-queues/{queue}/workers", params={"live": True})
            return bool(found)

        until(lives, f"a worker of {queue} lives", 60)
        return found[0]


@contextmanager
def fleet(root: Path) -> Iterator[Fleet]:
    """Two machines, each with a home of its own; nothing of them is left."""
    with stack(root / "north", WORKER_HOSTNAME="north") as made:
        # It listens for what is asked of it; one that is silent for two beats registers anew, and a busy machine is
        # silent for seconds.
        made.call("POST", "/environments/default/worker-queues", json={"name": FAR, "heartbeat_interval": 15})
        state: Any = made.machine.json("server", "status")
        access = {"CONTROL_PLANE_URL": state["url"], "KUBIYA_API_KEY": made.call("POST", "/keys", json=_WORKERS)["key"]}
        south = Machine(root / "south", {**access, "WORKER_HOSTNAME": "south"})
        try:
            started = south.run("worker", "start", f"--queue-id={FAR}", "--type=local", "-d")
            assert started.returncode == 0, started.stderr
            yield Fleet(made, south)
            assert south.run("worker", "stop", f"--queue-id={FAR}").returncode == 0
            south.assert_nothing_left()
        finally:
            south.kill_everything()


_WORKERS = {"name": "south", "scope": "worker"}
