"""Which models a run or a worker may name."""

import pytest

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.control_plane.services.models import check_for

from .conftest import Api, Models
from .test_workers import make_queue, register


@pytest.mark.parametrize(
    ("name", "offers"),
    [
        (OFFLINE_MODEL, []),
        (OFFLINE_MODEL, [None]),
        ("anything", [["*"]]),
        ("openai/gpt-9", [["llama"], ["openai/*"]]),
        (OFFLINE_MODEL, [["llama"], None]),
    ],
)
async def test_a_model_that_somebody_offers(name: str, offers: list[list[str] | None], api: Api) -> None:
    await check_for(Models(), name, await _live(api, offers))


@pytest.mark.parametrize(
    ("name", "offers", "meant"),
    [
        ("kubiya/ofline", [], OFFLINE_MODEL),
        ("lab/n", [None], "lab/m"),
        ("lama", [["llama"], ["mistral"]], "llama"),
        (OFFLINE_MODEL, [["llama"]], "--skip-model-validation"),
    ],
)
async def test_a_model_that_nobody_offers(name: str, offers: list[list[str] | None], meant: str, api: Api) -> None:
    with pytest.raises(Invalid, match=name) as refused:
        await check_for(Models(), name, await _live(api, offers))
    assert meant in (refused.value.fix or "")


async def test_a_worker_with_an_unknown_model_is_not_registered(api: Api) -> None:
    await make_queue(api)
    answer = await api.client.post("/api/v1/worker-queues/q/start", json={"model": "lab/mm"})
    assert answer.status_code == 422
    assert "lab/m" in answer.text
    assert (await api.client.get("/api/v1/workers")).json() == []
    assert (await api.client.post("/api/v1/worker-queues/q/start", json={"model": "lab/m"})).is_success


async def _live(api: Api, offers: list[list[str] | None]) -> list[Worker]:
    await make_queue(api)
    for offer in offers:
        await register(api, system_info={"models": offer})
    found = (await api.client.get("/api/v1/workers")).json()
    return [Worker.model_validate(worker) for worker in found]
