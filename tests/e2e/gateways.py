"""A control plane with a LiteLLM configuration, and its gateway as a program sees it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from kubiya_workers.testing import ScriptedModel

from .machine import Machine

KEY = "sk-of-the-upstream-5678"
SLOW_S = 180.0


def uv_cache() -> str:
    """The real cache: LiteLLM is 600 MB."""
    return os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")


def share_litellm(root: Path) -> None:
    """Give the home of a machine the LiteLLM that the first such machine of this test run installs: 600 MB."""
    run = next((parent for parent in root.parents if parent.name.startswith("pytest-")), root.parent)
    (run / "litellm").mkdir(mode=0o700, exist_ok=True)
    home = root / "home" / ".kubiya"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "litellm").symlink_to(run / "litellm")


def litellm_of(machine: Machine) -> list[psutil.Process]:
    return machine.running(lambda words: any(word.endswith("litellm/runner.py") for word in words))


def configuration(model: ScriptedModel, **more: object) -> dict[str, Any]:
    params = {"model": "openai/gpt-5-mini", "api_base": model.url, "api_key": "os.environ/UPSTREAM_KEY"}
    return {"model_list": [{"model_name": "mine", "litellm_params": params}], **more}


@contextmanager
def server(root: Path, config: dict[str, Any]) -> Iterator[Machine]:
    share_litellm(root)
    machine = Machine(root, {"UV_CACHE_DIR": uv_cache(), "UPSTREAM_KEY": KEY})
    (machine.work / "models.yaml").write_text(json.dumps(config))
    try:
        started = machine.run("server", "start", "--llm-config", "models.yaml", timeout=SLOW_S)
        assert started.returncode == 0, started.stderr
        yield machine
        assert machine.run("server", "stop", timeout=SLOW_S).returncode == 0
        machine.assert_nothing_left()
    finally:
        machine.kill_everything()


class Gateway:
    """What the control plane's gateway answers."""

    def __init__(self, machine: Machine) -> None:
        state: Any = machine.json("server", "status")
        key = (machine.home / ".kubiya/server/credentials").read_text().strip()
        self.http = httpx.Client(base_url=state["url"], headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def chat(self, **fields: object) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json={"model": "mine", "messages": [said("go")], **fields})

    def stream(self, prompt: str) -> list[float]:
        """When each token came."""
        body = {"model": "mine", "messages": [said(prompt)], "stream": True}
        moments: list[float] = []
        with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            for line in answer.iter_lines():
                if '"content"' in line and "choices" in line:
                    moments.append(time.monotonic())
        return moments


def said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
