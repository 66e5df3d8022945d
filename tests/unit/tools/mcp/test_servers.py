"""Connections to real servers: started, called, told to stop, and always ended."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.ports import free_port

from kubiya_workers.agent import mcp
from kubiya_workers.contracts.activities import ToolListing, ToolsListed
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.tools import ToolRequest, ToolResult, ToolSpec, ToolStatus, Workspace
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.worker.tools import Toolbox
from kubiya_workers.worker.tools.mcp import Servers

from ..conftest import BASE

SERVERS = Path(__file__).parents[3] / "mcp_servers"
TOKEN = "tok-4c1f0a9b77"
RUN = ExecutionId("run-1")


def plain(how: str = "works", **config: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(SERVERS / "plain.py"), how], **config}


def notes(**config: Any) -> dict[str, Any]:
    env = {"NOTES_TOKEN": "${TOKEN}"}
    return {"command": sys.executable, "args": [str(SERVERS / "notes.py")], "env": env, **config}


@dataclass
class Worker:
    """Servers and a toolbox as a worker has them, and one run."""

    servers: Servers
    toolbox: Toolbox
    workspace: Workspace
    defined: tuple[McpServer, ...] = ()
    printed: list[str] = field(default_factory=list[str])

    async def listed(self, run: ExecutionId = RUN, **definitions: dict[str, Any]) -> ToolsListed:
        self.defined = mcp.of_environment(definitions)
        return await self.servers.listed(ToolListing(execution_id=run, servers=self.defined), self.workspace)

    async def call(self, spec: ToolSpec, arguments: dict[str, Any] | None = None, run: ExecutionId = RUN) -> ToolResult:
        request = ToolRequest(
            execution_id=run,
            step=2,
            call_id="c",
            tool=spec.name,
            spec=spec,
            arguments=json.dumps(arguments or {}),
            idempotency_key="key-2",
            server=next(server for server in self.defined if server.name == spec.config["server"]),
        )
        return await self.toolbox.run(request, self.workspace, on_output=self.printed.append)

    @property
    def noted(self) -> list[str]:
        file = Path(self.workspace.working_dir or "") / "notes.txt"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
async def worker(guard: Guard, tmp_path: Path) -> AsyncIterator[Worker]:
    servers = Servers(guard, base=BASE, most=2)
    workspace = Workspace(working_dir=str(tmp_path), env_vars={"TOKEN": TOKEN, "OTHER": "unasked"}, secrets=("TOKEN",))
    yield Worker(servers, Toolbox(guard, base=BASE, servers=servers), workspace)
    await servers.close()
    assert not running(tmp_path)


def running(directory: Path) -> list[psutil.Process]:
    """The servers that were started for runs in this directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def tool(listed: ToolsListed, name: str) -> ToolSpec:
    assert not listed.faults, listed.faults
    return next(spec for spec in listed.tools if spec.name.endswith(f"__{name}"))


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_server_of_the_first_revision_is_listed_and_called(worker: Worker, tmp_path: Path) -> None:
    listed = await worker.listed(it=plain("nonsense"))
    result = await worker.call(tool(listed, "echo"), {"text": "hello"})
    assert result.status is ToolStatus.SUCCESS and result.content == f"hello key-2 {tmp_path}"
    (process,) = running(tmp_path)
    assert set(process.environ()) <= {"PATH", "HOME", "KUBIYA_EXECUTION_ID", "LC_CTYPE"}
    assert (await worker.call(tool(listed, "echo"), {})).status is ToolStatus.FAILED  # does not fit the schema
    await worker.call(tool(listed, "echo"), {"text": "again"})
    assert running(tmp_path) == [process]  # kept warm


async def test_answers_of_every_kind(worker: Worker) -> None:
    listed = await worker.listed(it=notes(output_limit=1000))
    counted = await worker.call(tool(listed, "count"), {"text": "one two"})
    assert (counted.content, counted.output["structured"]) == ("2", {"result": 2})
    shown = await worker.call(tool(listed, "show"))
    assert shown.content == (
        "here:\n[image: image/png, 3000 bytes]\n[resource: file:///a.zip, application/zip, 3000 bytes]"
    )
    assert shown.output["structured"] == {"pages": 1}
    refused = await worker.call(tool(listed, "refuse"))
    assert (refused.status, refused.content, refused.error) == (ToolStatus.FAILED, "no such note", "no such note")
    much = await worker.call(tool(listed, "much"), {"size": 50_000})
    assert "bytes left out" in much.content and len(much.content) < 1200 and "structured" not in much.output
    await worker.call(tool(listed, "wait"), {"seconds": 0})
    assert worker.printed == ["begun 1/2\n"]


async def test_a_server_that_dies_in_the_middle_leaves_an_unknown_outcome_and_is_started_again(worker: Worker) -> None:
    listed = await worker.listed(it=plain())
    died = await worker.call(tool(listed, "echo"), {"text": "die"})
    assert died.status is ToolStatus.UNKNOWN and "exit status 3" in died.content
    assert (await worker.call(tool(listed, "echo"), {"text": "a"})).status is ToolStatus.SUCCESS
    safe = await worker.listed(it=plain(tool_classes={"*": "retry_safe"}))
    died = await worker.call(tool(safe, "echo"), {"text": "die"})
    assert died.status is ToolStatus.FAILED and "may be made again" in died.content


async def test_a_cancelled_call_is_told_to_the_server_which_is_ended(worker: Worker, tmp_path: Path) -> None:
    listed = await worker.listed(it=notes())
    call = asyncio.create_task(worker.call(tool(listed, "wait"), {"seconds": 60}))
    await until(lambda: worker.noted == ["begun"])
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert worker.noted == ["begun", "cancelled"] and not running(tmp_path)


async def test_a_call_has_its_time(worker: Worker) -> None:
    listed = await worker.listed(it=plain(timeout_s=1))
    result = await worker.call(tool(listed, "echo"), {"text": "sleep"})
    assert result.status is ToolStatus.UNKNOWN and "did not answer within 1 s" in result.content
    assert result.output == {"timed_out": True}


async def test_what_is_wrong_with_a_server_is_told_with_its_last_words(worker: Worker, tmp_path: Path) -> None:
    wrong = {
        "fails": plain("fails", env={"NOTES_TOKEN": "${TOKEN}"}),
        "hangs": plain("hangs", start_timeout_s=2),
        "refuses": plain("refuses"),
        "echo": {"command": "echo", "args": ["hello"]},
        "absent": {"command": "no-such-program"},
        "unset": {"command": "x", "env": {"A": "${NOWHERE}"}},
        "argument": {"command": "x", "args": ["--token=${TOKEN}"]},
        "unreachable": {"url": "http://127.0.0.1:1/mcp"},
        "private": {"url": "http://127.0.0.1:1/mcp", "allow_private": False},
    }
    listed = await worker.listed(**wrong)
    reasons = {fault.server: fault.reason for fault in listed.faults}
    assert set(reasons) == set(wrong) and not listed.tools
    assert "exit status 1; its last words: no database for [redacted]" in reasons["fails"]
    assert "within 2 s" in reasons["hangs"] and "waiting for the world" in reasons["hangs"]
    assert "not today" in reasons["refuses"]
    assert "no message of the protocol: 'hello'" in reasons["echo"]
    assert "'no-such-program' could not be started" in reasons["absent"]
    assert "NOWHERE" in reasons["unset"]
    assert "args.0 refers to the secret TOKEN" in reasons["argument"]
    assert "could not be reached" in reasons["unreachable"]
    assert {fault.server for fault in listed.faults if fault.passing} == {"unreachable"}
    assert "may not be reached" in reasons["private"]
    assert not running(tmp_path)


async def test_tools_that_cannot_be_offered_are_left_out_and_told(worker: Worker) -> None:
    listed = await worker.listed(it=plain("odd"))
    assert [(spec.name, spec.description) for spec in listed.tools] == [("it__hidden_eman", "a [31m b")]
    assert len(listed.notes) == 2 and "another document" in listed.notes[0] and "is wrong" in listed.notes[1]


async def test_only_so_many_are_kept_and_the_longest_idle_one_goes(worker: Worker, tmp_path: Path) -> None:
    first = await worker.listed(ExecutionId("a"), it=plain())
    (oldest,) = running(tmp_path)
    for run in ("b", "c"):
        await worker.listed(ExecutionId(run), it=plain())
    left = running(tmp_path)
    assert len(left) == 2 and oldest not in left
    assert (await worker.call(tool(first, "echo"), {"text": "x"}, ExecutionId("a"))).status is ToolStatus.SUCCESS


async def test_servers_end_with_their_run(worker: Worker, tmp_path: Path) -> None:
    await worker.listed(ExecutionId("over"), it=plain())
    ended = running(tmp_path)
    await worker.listed(ExecutionId("going"), it=plain())

    async def is_over(run: ExecutionId) -> bool:
        return run == "over"

    minding = asyncio.create_task(worker.servers.mind(is_over))
    await until(lambda: len(running(tmp_path)) == 1)
    minding.cancel()
    assert running(tmp_path) != ended


async def test_a_server_that_nobody_calls_is_ended_and_started_again(guard: Guard, tmp_path: Path) -> None:
    servers = Servers(guard, base=BASE, idle_s=0.1)
    toolbox = Toolbox(guard, base=BASE, servers=servers)
    worker = Worker(servers, toolbox, Workspace(working_dir=str(tmp_path)))
    listed = await worker.listed(it=plain())

    async def is_over(run: ExecutionId) -> bool:
        return False

    minding = asyncio.create_task(servers.mind(is_over))
    await until(lambda: not running(tmp_path))
    minding.cancel()
    assert (await worker.call(tool(listed, "echo"), {"text": "x"})).status is ToolStatus.SUCCESS
    await servers.close()


async def test_a_proxy_of_the_workers_environment_is_used(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with proxy:
        proxies = Proxies(http=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        servers = Servers(None, base=BASE, proxies=proxies)
        worker = Worker(servers, Toolbox(base=BASE, servers=servers), Workspace(working_dir=str(tmp_path)))
        listed = await worker.listed(it={"url": "http://mcp.test/mcp", "allow_private": False})
    assert asked[0] == b"POST http://mcp.test/mcp HTTP/1.1\r\n"
    assert "HTTP 503 Busy" in listed.faults[0].reason and listed.faults[0].passing


def test_a_worker_without_servers_does_not_import_the_sdk() -> None:
    program = "import sys, kubiya_workers.worker.process; print({'mcp', 'mcp_types', 'httpx2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks HTTP."""
    port = str(free_port())
    work = tmp_path_factory.mktemp("http")
    with subprocess.Popen([sys.executable, SERVERS / "notes.py", port], cwd=work, stderr=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}/mcp"
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(url)
                break
            assert server.poll() is None
            try:
                server.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        yield url
        server.terminate()


async def test_a_server_over_http(worker: Worker, address: str) -> None:
    headers = {"Authorization": "Bearer ${TOKEN}"}
    listed = await worker.listed(it={"url": address, "headers": headers, "timeout_s": 1})
    assert (await worker.call(tool(listed, "count"), {"text": "one two"})).content == "2"
    await worker.call(tool(listed, "wait"), {"seconds": 0})
    assert worker.printed == ["begun 1/2\n"]
    assert (await worker.call(tool(listed, "wait"), {"seconds": 30})).status is ToolStatus.UNKNOWN
    elsewhere = await worker.listed(it={"url": f"{address}/nowhere"})
    assert "404" in elsewhere.faults[0].reason
