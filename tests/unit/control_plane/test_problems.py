"""Every error answer is a problem; the health answers tell the truth."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter

from kubiya_workers.contracts.errors import TooManyRequests, Unavailable
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.problems import Problem
from kubiya_workers.control_plane import app, health

from .conftest import Api


async def get(api: Api, router: APIRouter) -> httpx.Response:
    transport = httpx.ASGITransport(app=app.build(api.plane, routers=[router]))
    async with httpx.AsyncClient(transport=transport, base_url="http://plane.test") as client:
        return await client.get("/api/v1/broken")


async def test_the_unexpected_is_a_500_without_its_trace(api: Api) -> None:
    router = APIRouter()

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret inside")

    answer = await get(api, router)
    assert answer.status_code == 500
    assert Problem.model_validate_json(answer.content).code == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("seconds", "header"), [(7.4, "7"), (0.1, "1"), (None, None)])
async def test_over_a_limit_says_when_to_come_back(api: Api, seconds: float | None, header: str | None) -> None:
    router = APIRouter()

    @router.get("/broken")
    async def broken() -> None:
        raise TooManyRequests("slow down", retry_after=seconds)

    answer = await get(api, router)
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, header)


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("GET", "/api/v1/nothing", None, 404, "there is no GET /api/v1/nothing here"),
        ("PUT", "/api/v1/agents", None, 405, "there is no PUT /api/v1/agents here"),
        ("POST", "/api/v1/agents", "{", 422, "JSON"),
        ("POST", "/api/v1/agents", "{}", 422, "name: field required"),
        ("POST", "/api/v1/agents", '{"name": "a", "skill_ids": "shell"}', 422, "skill_ids"),
        ("GET", "/api/v1/agents?limit=0", None, 422, "limit"),
        ("GET", "/api/v1/agents?skip=x", None, 422, "skip"),
        ("GET", "/api/v1/agents/nobody", None, 404, "no agent 'nobody'"),
    ],
)
async def test_a_bad_request_is_said_in_words(
    api: Api, method: str, path: str, content: str | None, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.client.request(method, path, content=content, headers=headers)
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.status) == (status, status)
    assert words in problem.detail


async def test_several_slashes_are_one(api: Api) -> None:
    answer = await api.client.get("http://plane.test//api/v1/agents")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/health", "/api/health", "/readyz"])
async def test_healthy_only_when_all_parts_answer(api: Api, path: str) -> None:
    answer = await api.nobody.get(path)
    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
    assert answer.json()["checks"]["database"]["latency_ms"] >= 0
    for failure in (Check(ok=False, detail="no route"), Unavailable("no route")):
        api.engine.answer = failure
        answer = await api.nobody.get(path)
        assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
        assert answer.json()["checks"]["temporal"]["detail"] == "no route"
        assert (await api.nobody.get("/livez")).status_code == 200


async def test_a_part_that_hangs_is_said_in_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Check:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(health, "LIMIT_S", 0.05)
    monkeypatch.setattr(api.engine, "health", hang)
    answer = await api.nobody.get("/health")
    assert answer.status_code == 503
    assert "no answer within" in answer.json()["checks"]["temporal"]["detail"]
