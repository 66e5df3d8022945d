"""A proxy that is kept running, by the real runner, with a small application in LiteLLM's place."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.litellm import proxy, standing
from kubiya_workers.launchers.litellm.config import parsed
from kubiya_workers.launchers.litellm.proxy import LiteLLM, Seat, running

LIMIT_S = 30.0
APPLICATION = """
import asyncio, json, os

print("key is", os.environ["LITELLM_MASTER_KEY"], flush=True)
if os.environ.get("REFUSES"):
    raise SystemExit("no such callback")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(2.0)
    if scope["path"] == "/die":
        os._exit(9)
    if scope["path"] in ("/refused", "/broken"):
        refused = scope["path"] == "/refused"
        kind = b"application/json" if refused else b"text/event-stream"
        key = os.environ["LITELLM_MASTER_KEY"]
        parts = [b'data: {"ok": 1}\\n\\n', b'data: {"error": "', key[:9].encode(), key[9:].encode() + b'"}\\n\\n']
        headers = [(b"content-type", kind), (b"content-length", str(sum(map(len, parts))).encode())]
        start = {"status": 401, "headers": headers} if refused else {"status": 200, "headers": headers[:1]}
        await send({"type": "http.response.start", **start})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
        return
    body = json.dumps({"pid": os.getpid(), "environ": dict(os.environ)}).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
"""
PYTHON = """#!/bin/sh
shift
exec {python} -c 'import runpy, sys; sys.path.insert(0, "{fakes}"); sys.argv = sys.argv[1:]; \
runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
"""
CONFIG = json.dumps({"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/x"}}]})


@asynccontextmanager
async def kept(tmp_path: Path, *, ceiling: int = 1 << 40) -> AsyncIterator[tuple[LiteLLM, httpx.AsyncClient]]:
    fakes = tmp_path / "fakes"
    (fakes / "litellm" / "proxy").mkdir(parents=True)
    (fakes / "litellm" / "proxy" / "proxy_server.py").write_text(APPLICATION)
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, fakes=fakes))
    python.chmod(0o700)
    config = parsed(CONFIG, "text", {})
    with Guard.start() as guard:
        seat = Seat(python, config, tmp_path / "run", tmp_path / "litellm.log", guard, memory_ceiling=ceiling)
        async with running(seat, lambda _: None) as made:
            root = made.access.url.removesuffix("/v1")
            async with httpx.AsyncClient(base_url=root, timeout=LIMIT_S, headers={"connection": "close"}) as client:
                yield made, client


async def pid(client: httpx.AsyncClient, path: str = "/pid") -> int:
    return (await client.get(path)).json()["pid"]


async def test_it_answers_with_a_key_of_its_own_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ("ANTHROPIC_API_KEY", "AZURE_API_KEY", "AZURE_API_BASE", "AWS_BEARER_TOKEN_BEDROCK", "GROQ_API_KEY")
    for name in (*theirs, "AWS_REGION", "HTTPS_PROXY", "DATABASE_URL", "KUBIYA_API_KEY", "TEMPORAL_API_KEY"):
        monkeypatch.setenv(name, f"http://{name}")
    async with kept(tmp_path) as (made, client):
        answer = (await client.get("/pid")).json()
        has = answer["environ"]
        assert {name for name in (*theirs, "AWS_REGION", "HTTPS_PROXY") if name not in has} == set()
        assert {"DATABASE_URL", "KUBIYA_API_KEY", "TEMPORAL_API_KEY"}.isdisjoint(has), "ours are none of its business"
        assert made.access.default_model == "m" and made.access.key.startswith("sk-")
        assert made.access.key not in repr(made.access)
        key = made.access.key
    assert not psutil.pid_exists(answer["pid"])
    log = (tmp_path / "litellm.log").read_text()
    assert "key is [redacted]" in log and key not in log


@pytest.mark.parametrize(("path", "status"), [("/refused", 401), ("/broken", 200)])
async def test_its_errors_quote_no_key(tmp_path: Path, path: str, status: int) -> None:
    async with kept(tmp_path) as (made, client):
        answer = await client.get(path)
        assert answer.status_code == status
        assert answer.text == 'data: {"ok": 1}\n\ndata: {"error": "[redacted]"}\n\n'
        assert made.restarts == 0


async def test_one_that_ends_is_started_again_at_the_same_address_and_calls_wait(tmp_path: Path) -> None:
    async with kept(tmp_path) as (made, client):
        before = await pid(client)
        with pytest.raises(httpx.HTTPError):
            await client.get("/die")
        after = await pid(client)
        assert after != before and made.restarts == 1


async def test_one_that_grows_too_large_is_replaced_and_finishes_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_LOOK_S", 1.0)
    async with kept(tmp_path, ceiling=1) as (made, client):
        first = await pid(client)
        slow = asyncio.create_task(pid(client, "/slow"))
        async with asyncio.timeout(LIMIT_S):
            while await pid(client) == first:
                await asyncio.sleep(0.05)
        assert await slow == first, "its call was not cut off"
        assert made.restarts == 0, "that was no crash"
        async with asyncio.timeout(LIMIT_S):
            while psutil.pid_exists(first):
                await asyncio.sleep(0.05)


async def test_one_that_ends_still_hears_who_is_connected(tmp_path: Path) -> None:
    async with kept(tmp_path) as (made, client):
        first = await pid(client)
        url = httpx.URL(made.access.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        assert await pid(client) == first, "whoever came before that is taken by now"
        os.kill(first, signal.SIGTERM)
        await asyncio.sleep(0.2)
        writer.write(b"GET /pid HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] == first
        assert await pid(client) != first, "the next is taken by its successor"


async def stands(directory: Path, *states: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (said := standing.read(directory)) is None or said.state not in states:
            await asyncio.sleep(0.02)


async def test_one_that_a_person_stops_refuses_clearly_until_it_is_started(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    async with kept(tmp_path) as (made, client):
        first = await pid(client)
        slow = asyncio.create_task(pid(client, "/slow"))
        await asyncio.sleep(0.5)
        standing.want(directory, stopped=True)
        await stands(directory, "stopped")
        assert await slow == first, "what it had could end"
        assert not psutil.pid_exists(first)
        for _ in range(3):
            refused = await client.post("/v1/chat/completions", content=b"x" * 3_000_000)
            assert refused.status_code == 503 and refused.headers["retry-after"]
            assert "kubiya ui" in refused.json()["error"]["message"]
        standing.want(directory, stopped=False)
        await stands(directory, "starting", "running")
        assert await pid(client) != first, "a call that comes while it starts waits for it"
        await stands(directory, "running")
        assert made.restarts == 0, "that was no crash"


async def test_one_that_crashes_again_and_again_can_be_stopped(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    async with kept(tmp_path) as (made, client):
        application = tmp_path / "fakes" / "litellm" / "proxy" / "proxy_server.py"
        application.write_text("raise SystemExit('broken meanwhile')")
        with pytest.raises(httpx.HTTPError):
            await client.get("/die")
        await stands(directory, "failed")
        standing.want(directory, stopped=True)
        await stands(directory, "stopped")
        assert (await client.get("/pid")).status_code == 503
        application.write_text(APPLICATION)
        standing.want(directory, stopped=False)
        await stands(directory, "starting", "running")
        assert await pid(client)
        assert made.restarts > 0
        standing.want(directory, stopped=True)
        await stands(directory, "stopped")
    assert standing.read(directory) is None and not standing.is_to_stop(directory), "its owner's end ends the wish"


async def test_one_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSES", "1")
    with pytest.raises(Unavailable, match="no such callback") as refused:
        async with kept(tmp_path):
            pass
    assert str(tmp_path / "litellm.log") in (refused.value.fix or "")
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one of another test, that has just ended
            assert "fakes" not in " ".join(child.cmdline())
