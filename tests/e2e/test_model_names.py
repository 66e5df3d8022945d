"""A model that nobody has is refused before anything runs; the one that ran is the one on record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubiya_workers.testing.scripted_model import ScriptedModel

from .machine import Machine, served


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


def test_an_unknown_model_is_refused_with_the_nearest(running: Machine) -> None:
    executions = running.json("execution", "list")
    refused = running.run("exec", "--local", "--model", "kubiya/ofline", "--yes", "Run `true`")
    assert refused.returncode == 4
    assert "no model 'kubiya/ofline'" in refused.stderr
    assert "Did you mean kubiya/offline?" in refused.stderr
    assert running.json("execution", "list") == executions, "nothing was begun"
    assert not running.workers()


def test_a_worker_with_an_unknown_model_does_not_start(running: Machine) -> None:
    words = ("worker", "start", "--queue-id=misspelt", "--model=kubiya/ofline")
    for mode in ((), ("-d",)):
        refused = running.run(*words, *mode)
        assert refused.returncode == 4
        assert "Did you mean kubiya/offline?" in refused.stderr + refused.stdout
    assert not running.workers()


def test_whoever_insists_gets_the_gateway_s_own_answer(running: Machine) -> None:
    tried = running.run("exec", "--local", "--model", "kubiya/ofline", "--skip-model-validation", "--yes", "hello")
    assert tried.returncode == 1
    assert "there is no model" in tried.stderr


def test_a_worker_s_own_gateway_says_what_it_has(tmp_path: Path) -> None:
    with ScriptedModel("Fine.", models=("llama3", "qwen3")) as own, served(tmp_path) as machine:
        machine.environ |= {"LITELLM_API_BASE": own.url, "LITELLM_API_KEY": "k"}
        with machine.spawn("worker", "start", "--queue-id=q") as worker:
            worker.until_said("Ready")
            refused = machine.run("exec", "--queue=q", "--model=llama4", "--yes", "hello")
            assert refused.returncode == 4
            assert "Did you mean llama3?" in refused.stdout + refused.stderr
            assert _model_of_a_run(machine, "--model=llama3") == "llama3"
        for words in (("worker", "start", "--queue-id=q"), ("exec", "--local", "--yes", "hello")):
            refused = machine.run(*words, "--model=llama4")
            assert refused.returncode == 4
            assert "Did you mean llama3?" in refused.stdout + refused.stderr
        machine.environ["KUBIYA_MODEL_OVERRIDE"] = "qwen3"
        with machine.spawn("worker", "start", "--queue-id=q") as worker:
            worker.until_said("Ready")
            del machine.environ["KUBIYA_MODEL_OVERRIDE"]
            assert _model_of_a_run(machine, "--model=whatever") == "qwen3", "the override is on record"
        assert {chat.body["model"] for chat in own.chats} == {"llama3", "qwen3"}
        counted = machine.json("usage", "--by=model")
        assert isinstance(counted, list) and {row["name"] for row in counted} == {"llama3", "qwen3"}


def test_the_default_is_set_and_stays(tmp_path: Path) -> None:
    with ScriptedModel("Fine.", models=("llama3", "qwen3")) as model:
        with served(tmp_path, KUBIYA_LLM_BASE_URL=model.url) as machine:
            assert _default(machine) == "llama3"
            refused = machine.run("model", "set-default", "qwen")
            assert refused.returncode == 4
            assert "Did you mean qwen3?" in refused.stderr
            assert machine.run("model", "set-default", "qwen3").returncode == 0
            assert machine.run("server", "stop").returncode == 0
            assert machine.run("server", "start").returncode == 0
            assert _default(machine) == "qwen3"
            ran = machine.json("exec", "--local", "--yes", "hello")
            assert isinstance(ran, dict) and ran["model"] == "qwen3"
        with served(tmp_path, KUBIYA_LLM_BASE_URL=model.url, KUBIYA_LLM_MODEL="llama3") as machine:
            assert _default(machine) == "llama3", "the configuration wins"
            refused = machine.run("model", "set-default", "qwen3")
            assert refused.returncode == 4
            assert "KUBIYA_LLM_MODEL" in refused.stderr


def _default(machine: Machine) -> str:
    shown = machine.json("model", "get")
    assert isinstance(shown, dict)
    return str(shown["value"])


def _model_of_a_run(machine: Machine, *words: str) -> str:
    ran = machine.json("exec", "--queue=q", "--yes", *words, "hello")
    assert isinstance(ran, dict)
    shown = machine.json("execution", "get", str(ran["id"]))
    assert isinstance(shown, dict)
    return str(shown["model"])
