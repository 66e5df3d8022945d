"""One run with secrets of every kind, and then every place where anything is written or shown is searched for them.

The worker has a LiteLLM of its own, whose provider repeats the key that it refuses, as real ones do; `test_security.py`
does the same for the control plane's own gateway.
"""

import base64
import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error, reports, tool
from tests.collector import Collector, collecting

from .gateways import litellm_of, uv_cache
from .installation import kill
from .machine import Machine, served, until
from .test_console import ON, browser_of
from .test_security import seen

SLOW_S = 180.0
SECRETS = {
    "the user's key": "own-key-8d2f6e71c0b94a35",
    "a variable of the run": "d3pl0y/t0ken+5577ab31",
    "a key by reference": "by-reference-77ab31e0",
    "a key in the configuration": "in-configuration-c5d9e2",
    "a key that LiteLLM looks for": "from-environment-19d7",
    "a callback's key": "of-a-callback-40aa",
    "a header of the collector": "collectors-header-e11d70",
}
"""None looks like a key of a known kind, which LiteLLM would take out by itself."""
USER, TOKEN, REFERRED, LITERAL, LOOKED_FOR, CALLBACK, HEADER = SECRETS.values()
LARGE = 300
"""So many words make a message that travels by reference: over 128 KiB."""


def forms(value: str) -> list[str]:
    encoded = base64.b64encode(value.encode()).decode()[: len(value) * 8 // 6]
    return [value, quote(value, safe=""), json.dumps(value)[1:-1], encoded]


def told_in(text: str | bytes) -> list[str]:
    """What of the secrets can be read in it."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [what for what, value in SECRETS.items() if any(form in text for form in forms(value))]


def written_in(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file but the programs that are installed there."""
    for part in sorted(directory.iterdir()):
        if part.name not in ("venv", "litellm") and part.is_dir():
            yield from written_in(part)
        elif part.is_file():
            yield part, part.read_bytes()


PRINTS = f"""echo "value: $DEPLOY_TOKEN"; printf %s "$DEPLOY_TOKEN" | base64 >&2; exit 3 # {TOKEN[:4]}"""
KEYS = " ".join(form for value in (REFERRED, LITERAL, LOOKED_FOR) for form in forms(value))
SCRIPT = {
    "use it": [
        tool("shell", {"command": PRINTS}),
        (error(429, f"slow down {KEYS}", retry_after=0.1), reports("one two", f"lost {KEYS}"), "went on"),
    ],
    "be large": [Reply("".join(f"{word:0500d}{TOKEN} " for word in range(LARGE)))],
    "be refused": [error(401, f"Incorrect API key provided: {KEYS}")],
}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Collector, str]]:
    """The machine after the runs, with its worker still there; and all that was printed or stood in arguments."""
    environ = {
        **ON,
        "UV_CACHE_DIR": uv_cache(),
        "KUBIYA_API_KEY": USER,
        "REFERRED_KEY": REFERRED,
        "ANTHROPIC_API_KEY": LOOKED_FOR,
        "KUBIYA_LLM_MODEL": "kubiya/offline",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={HEADER}",
        "KUBIYA_LOG_LEVEL": "DEBUG",
        "LOG_LEVEL": "DEBUG",
    }
    root = tmp_path_factory.mktemp("secrets")
    with ScriptedModel(SCRIPT) as model, collecting() as collector:
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        # The control plane has no need of a LiteLLM: only the worker is given the key that one would be made of.
        theirs = {name: text for name, text in environ.items() if name != "ANTHROPIC_API_KEY"}
        with served(root, **theirs) as machine:
            machine.environ["ANTHROPIC_API_KEY"] = LOOKED_FOR
            yield machine, collector, runs(machine, model)
            stopped = machine.run("worker", "stop", "--queue-id=q")
            assert stopped.returncode == 0, stopped.stderr


def runs(machine: Machine, model: ScriptedModel) -> str:
    (machine.work / "models.yaml").write_text(json.dumps(configuration(model)))
    words = ("worker", "start", "--type=local", "-d", "--queue-id=q", "--enable-local-proxy")
    shown = [printed(machine.run(*words, "--proxy-config-file=models.yaml", timeout=300))]
    env = {"DEPLOY_TOKEN": TOKEN}
    secret = ("--secret", "DEPLOY_TOKEN")
    with machine.spawn("exec", "--queue=q", "--yes", "--verbose", *secret, "use it", env=env) as run:
        until(lambda: shown.extend(seen(machine)) or run.process.poll() is not None, "the run ends", SLOW_S)
        assert run.process.returncode == 0 and "went on" in run.said(), run.said()
        shown.append(run.said())
    for model_name, prompt, status in (
        ("mine", "be large", 0),
        ("mine", "be refused", 1),
        ("literal", "be refused", 1),
    ):
        ended = machine.run("exec", "--queue=q", "--yes", f"--model={model_name}", *secret, prompt, env=env)
        assert ended.returncode == status, ended.stderr
        shown.append(printed(ended, status))
    assert "Incorrect API key provided: [redacted]" in shown[-1], shown[-1]
    (worker,) = machine.workers()
    kill(worker)
    until(lambda: status_of_worker(machine)["record"]["state"] == "running", "the worker is back", 60)
    return "\n".join(shown)


def status_of_worker(machine: Machine) -> Any:
    """It may be away: the exit status tells that."""
    return json.loads(machine.run("worker", "status", "--queue-id=q", "-o", "json").stdout)


def configuration(model: ScriptedModel) -> dict[str, Any]:
    params = {"model": "openai/anything", "api_base": model.url}
    return {
        "model_list": [
            {"model_name": "mine", "litellm_params": {**params, "api_key": "os.environ/REFERRED_KEY"}},
            {"model_name": "literal", "litellm_params": {**params, "api_key": LITERAL}},
        ],
        "litellm_settings": {"num_retries": 0},
        "environment_variables": {"LANGFUSE_SECRET_KEY": CALLBACK},
    }


def printed(done: subprocess.CompletedProcess[str], status: int = 0) -> str:
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


Used = tuple[Machine, Collector, str]


def test_no_argument_and_no_command_tells_a_secret(used: Used) -> None:
    machine, _, shown = used
    assert "value: [redacted]" in shown and "--secret" in shown, "or this shows nothing"
    executions: Any = machine.json("execution", "list")
    assert len(executions) == 4
    shown += printed(machine.run("doctor", "-o", "json"), machine.run("doctor").returncode)
    for command in (
        *(("execution", "get", run["id"], "-o", "json") for run in executions),
        *(("execution", "logs", run["id"], "--stream-format", "json") for run in executions),
        ("worker", "status", "--queue-id=q", "-o", "json"),
        ("worker", "logs", "--queue-id=q", "--tail=5000"),
        ("worker", "list", "-o", "json"),
        ("usage", "-o", "json"),
        ("config", "show", "-o", "json"),
        ("model", "list", "-o", "json"),
        ("queue", "list", "-o", "json"),
    ):
        shown += printed(machine.run(*command))
    assert told_in(shown) == []


def test_no_file_tells_a_secret(used: Used) -> None:
    machine, _, _ = used
    told: dict[str, list[str]] = {}
    names: set[str] = set()
    for path, content in written_in(machine.home):
        names.update(path.parts)
        if path.name.startswith("kubiya.db"):
            continue  # what is stored is looked at row by row
        if (secrets := told_in(content)) and path.name != "credentials":
            told[str(path.relative_to(machine.home))] = secrets
    assert told == {}
    assert {"worker.log", "server.log", "litellm.log", "temporal.db", "daemon_info.txt", "objects"} <= names, names


def test_no_row_tells_a_secret(used: Used) -> None:
    machine, _, _ = used
    with closing(sqlite3.connect(machine.home / ".kubiya/server/kubiya.db")) as database:
        rows = [line for line in database.iterdump() if line.startswith("INSERT")]
    assert any("went on" in row for row in rows)
    assert [(row[:80], told_in(row)) for row in rows if told_in(row)] == []


def test_no_page_and_no_metric_tells_a_secret(used: Used) -> None:
    machine, _, _ = used
    with browser_of(machine) as browser:
        live = browser.until_live(lambda now: bool(now["workers"]))
        (run, *_) = browser.http.get("/api/v1/executions").json()
        pages: list[object] = [
            live,
            browser.get("/environment"),
            browser.http.get("/console/api/doctor/report").text,
            browser.get("/proxy"),
        ]
        for file in browser.get("/logs"):
            pages.append(browser.get("/logs/lines", source=file["name"], limit=1000))
        pages.append(browser.http.get(f"/api/v1/executions/{run['id']}/stream").text)
        assert told_in(json.dumps(pages)) == []
    server: Any = machine.json("server", "status")
    (*_, health) = re.findall(r"\] Health: url=(\S+)", (machine.home / ".kubiya/workers/q/logs/worker.log").read_text())
    for url in (*(f"{health}/{page}" for page in ("status", "metrics", "readyz")), f"{server['url']}/metrics"):
        answer = httpx.get(url, trust_env=False)
        assert answer.status_code == 200 and told_in(answer.text) == [], url


def test_no_trace_tells_a_secret(used: Used) -> None:
    _, collector, _ = used
    until(lambda: bool(collector.named("chat anything") or collector.spans), "traces arrive", 60)
    assert all(headers.get("x-key") == HEADER for headers in collector.headers)
    assert told_in(str(collector.spans) + str(collector.resources)) == []


def test_a_text_that_holds_a_secret_of_its_run_is_refused(used: Used) -> None:
    machine, _, _ = used
    words = ("exec", "--queue=q", "--yes", "--secret", "DEPLOY_TOKEN")
    refused = machine.run(*words, f"deploy with {TOKEN}", env={"DEPLOY_TOKEN": TOKEN})
    assert refused.returncode == 4
    assert "the prompt holds the value of the secret DEPLOY_TOKEN" in refused.stderr
    assert "$DEPLOY_TOKEN" in refused.stderr and told_in(refused.stderr) == []
    executions: Any = machine.json("execution", "list")
    assert len(executions) == 4, "nothing was stored"


def test_only_litellm_has_the_keys(used: Used) -> None:
    machine, _, _ = used
    (proxy,) = litellm_of(machine)
    assert proxy.environ()["REFERRED_KEY"] == REFERRED
    (worker,) = machine.workers()
    held = [SECRETS[what] for what in told_in("\n".join(worker.environ().values()))]
    assert not {REFERRED, LITERAL, CALLBACK, TOKEN} & set(held), held
    assert Path(worker.cwd()).exists()
