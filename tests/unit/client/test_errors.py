"""Failed answers and silent networks become refusals that say what to do next."""

import socket

import httpx
import pytest

from kubiya_workers.client.errors import refusal_of, unreachable
from kubiya_workers.contracts.errors import REFUSALS, Conflict, NotFound, Refusal, TooManyRequests


@pytest.mark.parametrize("status", sorted(REFUSALS))
def test_a_status_becomes_the_refusal_of_that_status(status: int) -> None:
    refusal = refusal_of(httpx.Response(status, json={"detail": "what", "fix": "next", "code": REFUSALS[status].code}))
    assert type(refusal) is REFUSALS[status]
    assert (refusal.detail, refusal.fix, refusal.status) == ("what", "next", status)


def test_an_unknown_status_keeps_its_number() -> None:
    refusal = refusal_of(httpx.Response(418, json={"detail": "tea"}))
    assert (refusal.status, refusal.detail) == (418, "tea")
    assert Refusal.status == 500


def test_a_page_that_is_no_problem_is_excerpted() -> None:
    refusal = refusal_of(httpx.Response(404, text="<html>\n nothing  here" + "x" * 1000))
    assert isinstance(refusal, NotFound)
    assert refusal.detail.startswith("HTTP 404: <html> nothing here")
    assert len(refusal.detail) < 300


def test_a_problem_in_another_shape_is_excerpted_too() -> None:
    refusal = refusal_of(httpx.Response(409, json={"detail": [{"loc": ["a"]}]}))
    assert isinstance(refusal, Conflict)
    assert "loc" in refusal.detail


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("", None)])
def test_retry_after_is_carried(header: str, seconds: float | None) -> None:
    refusal = refusal_of(httpx.Response(429, json={"detail": "slow"}, headers={"Retry-After": header}))
    assert isinstance(refusal, TooManyRequests)
    assert refusal.retry_after == seconds


async def test_a_closed_port_is_named_in_plain_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.ConnectError) as raised:
                await http.get(url)
    refusal = unreachable(url, raised.value)
    assert refusal.detail == f"Cannot reach the control plane at {url}: Connection refused"
    assert refusal.fix is not None and "CONTROL_PLANE_URL" in refusal.fix


def test_time_limits_have_their_own_words() -> None:
    assert "time limit" in unreachable("http://x", httpx.ReadTimeout("")).detail
