"""A real LiteLLM beside a worker: the worker's model calls go through it, and through nothing else."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from kubiya_workers.testing import ScriptedModel, error, stalls, tool

from .gateways import litellm_of, share_litellm, uv_cache
from .machine import Machine, served, until

CONFIGURATION = 6
SLOW_S = 120
LITELLM = ("worker", "start", "--type=local", "--enable-local-proxy")
KEY = "sk-of-the-upstream-1234"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("proxied")
    share_litellm(root)
    with served(root, UV_CACHE_DIR=uv_cache(), UPSTREAM_KEY=KEY) as machine:
        yield machine


def configured(machine: Machine, model: ScriptedModel, **more: object) -> Path:
    params = {"model": "openai/anything", "api_base": model.url, "api_key": "os.environ/UPSTREAM_KEY"}
    file = machine.work / "litellm_config.yaml"
    # JSON is YAML, too.
    file.write_text(json.dumps({"model_list": [{"model_name": "mine", "litellm_params": params}], **more}))
    return file


def fine(machine: Machine, *words: str, timeout: float = SLOW_S) -> str:
    done = machine.run(*words, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_with_a_litellm_of_its_own(running: Machine) -> None:
    """Started in the background, called by its default and by name, killed in the middle, and gone with its worker."""
    script = {
        "first": [tool("shell", {"command": "echo from the tool; env | grep -c UPSTREAM_KEY"}), "one is done"],
        "second": ["two is done"],
        "third": [(stalls("half an answer"), "three is done")],
    }
    with ScriptedModel(script) as model:
        file = configured(running, model)
        fine(running, *LITELLM, "--queue-id=q", "-d", f"--proxy-config-file={file.name}", timeout=300)
        said = fine(running, "exec", "--queue", "q", "--yes", "the first")
        assert "one is done" in said
        request = model.chats[0]
        assert request.body["model"] == "anything", "the name that the configuration gives it"
        assert request.headers.get("authorization") == f"Bearer {KEY}"
        tools = [m["content"] for m in model.chats[1].body["messages"] if m["role"] == "tool"]
        assert "from the tool" in tools[0] and "\n0" in tools[0], "its tools know nothing of the key"
        (worker,) = running.workers()
        assert "UPSTREAM_KEY" not in worker.environ() and KEY not in worker.environ().values()

        assert "two is done" in fine(running, "exec", "--queue", "q", "--yes", "--model=mine", "the second")

        with running.spawn("exec", "--queue", "q", "--yes", "the third") as run:
            until(lambda: len(model.chats) == 4, "the model answers", SLOW_S)
            (proxy,) = litellm_of(running)
            proxy.kill()
            assert run.process.wait(SLOW_S) == 0, run.said()
            assert "three is done" in run.said()
        log = (running.home / ".kubiya/workers/q/logs/worker.log").read_text()
        assert "LiteLLM ended" in log and "LiteLLM answers again" in log
        assert KEY not in log
        fine(running, "worker", "stop", "--queue-id=q")
        assert not litellm_of(running)


def test_an_unknown_model_goes_nowhere_else(running: Machine) -> None:
    with ScriptedModel("never") as model:
        config = configured(running, model).read_text()
        words = (*LITELLM, "--queue-id=strict", f"--proxy-config-json={config}")
        with running.spawn(*words) as worker:
            worker.until_said("Ready", 300)
            words = ("exec", "--queue", "strict", "--yes", "--model=another", "go")
            for insisting, status in (((), 4), (("--skip-model-validation",), 1)):
                refused = running.run(*words, *insisting, timeout=SLOW_S)
                assert refused.returncode == status
                assert "another" in refused.stderr
            assert model.chats == []
            # The command is killed: what it started ends, whatever it had no time to say.
            worker.process.send_signal(signal.SIGKILL)
            until(lambda: not litellm_of(running) and not running.workers(), "nothing is left", 60)
    written = running.home / ".kubiya/run/strict/litellm.yaml"
    assert written.stat().st_mode & 0o777 == 0o600


def test_what_an_upstream_refuses_is_said(running: Machine) -> None:
    with ScriptedModel([error(401)] * 9) as model:
        file = configured(running, model, litellm_settings={"num_retries": 0})
        with running.spawn(*LITELLM, "--queue-id=refused", f"--proxy-config-file={file}") as worker:
            worker.until_said("Ready", 300)
            refused = running.run("exec", "--queue", "refused", "--yes", "go", timeout=SLOW_S)
            assert refused.returncode == 1
            assert KEY not in refused.stderr + refused.stdout


BEDROCK = """\
model_list:
  - model_name: claude-3-5-sonnet
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/AWS_SECRET_ACCESS_KEY
      aws_region_name: us-east-1
"""
"""As it is documented."""
NO_ACCESS = "The security token included in the request is invalid."


class Bedrock(BaseHTTPRequestHandler):
    """What AWS answers to whoever has no access."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"message": NO_ACCESS}).encode()
        self.send_response(403)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """To nobody."""


@pytest.fixture
def bedrock() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bedrock) as answering:
        thread = threading.Thread(target=answering.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{answering.server_port}"
        answering.shutdown()
        thread.join()


def test_the_documented_example_of_bedrock_is_called_and_refused_clearly(running: Machine, bedrock: str) -> None:
    (running.work / "bedrock.yaml").write_text(BEDROCK)
    words = (*LITELLM, "--queue-id=bedrock", "--proxy-config-file=./bedrock.yaml")
    unset = running.run(*words)
    assert unset.returncode == CONFIGURATION
    assert "AWS_ACCESS_KEY_ID" in unset.stderr
    keys = {"AWS_ACCESS_KEY_ID": "AKIANOTONE", "AWS_SECRET_ACCESS_KEY": "very-secret-value"}
    with running.spawn(*words, env={**keys, "AWS_BEDROCK_RUNTIME_ENDPOINT": bedrock}) as worker:
        worker.until_said("Ready", 300)
        refused = running.run("exec", "--queue", "bedrock", "--yes", "go", timeout=SLOW_S)
        assert refused.returncode == 1
        assert NO_ACCESS in refused.stderr and "model_error" in refused.stderr
        assert "very-secret-value" not in refused.stderr + worker.said()
    assert Bedrock.asked[0].startswith("/model/anthropic.claude-3-5-sonnet-20240620-v1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--enable-local-proxy",), "needs a configuration: --proxy-config-file"),
        (("--proxy-config-file=missing.yaml",), "--proxy-config-file needs --enable-local-proxy"),
        (("--enable-local-proxy", "--proxy-config-file=missing.yaml"), "missing.yaml cannot be read"),
        (("--enable-local-proxy", "--proxy-config-json={"), "neither YAML nor JSON"),
        (("--enable-local-proxy", "--proxy-config-json={}"), "no model_list"),
        (("--enable-local-proxy", "--proxy-config-file=a", "--proxy-config-json={}"), "contradict each other"),
    ],
)
def test_a_configuration_that_cannot_be_used_stops_the_start(
    running: Machine, words: tuple[str, ...], says: str
) -> None:
    refused = running.run("worker", "start", "--queue-id=bad", *words)
    assert refused.returncode == CONFIGURATION, refused.stderr
    assert says in refused.stderr
    assert not running.workers() and not litellm_of(running)


def test_a_litellm_that_does_not_start_says_why_and_leaves_nothing(running: Machine) -> None:
    config = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/x"}}]}
    config["litellm_settings"] = {"callbacks": ["no_such_module.handler"]}
    words = (*LITELLM, "--queue-id=broken", "-d", f"--proxy-config-json={json.dumps(config)}")
    refused = running.run(*words, timeout=300)
    assert refused.returncode != 0
    assert "LiteLLM ended with status" in refused.stderr and "no_such_module" in refused.stderr
    assert not running.workers() and not litellm_of(running)
