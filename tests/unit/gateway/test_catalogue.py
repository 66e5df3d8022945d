"""Which model goes where."""

import httpx
import pytest
from tests.unit.gateway.serving import NOWHERE

from kubiya_workers.contracts.errors import NotFound, Unavailable
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.gateway.catalogue import DEFAULT_ALIAS, PREFERRED, Catalogue
from kubiya_workers.gateway.config import api_base, ollama_base, upstreams_of
from kubiya_workers.gateway.forward import http_client
from kubiya_workers.settings.server import GatewaySettings
from kubiya_workers.testing import ScriptedModel


class _Open:
    """A catalogue that has looked around."""

    def __init__(self, **settings: str | None) -> None:
        self._settings = GatewaySettings(**{"ollama_host": NOWHERE, **settings})  # type: ignore[arg-type]

    async def __aenter__(self) -> Catalogue:
        self._http: httpx.AsyncClient = http_client(5)
        upstreams = tuple(upstreams_of(self._settings))
        self._catalogue = Catalogue(upstreams, self._settings.model, self._http)
        self._catalogue.start()
        await self._catalogue.settled()
        return self._catalogue

    async def __aexit__(self, *_: object) -> None:
        await self._catalogue.close()
        await self._http.aclose()


async def test_with_nothing_configured_only_the_offline_model_is_there() -> None:
    async with _Open() as catalogue:
        assert catalogue.default() == OFFLINE_MODEL
        assert [model.id for model in await catalogue.list()] == [OFFLINE_MODEL]
        assert (await catalogue.list())[0].recommended
        assert await catalogue.knows(OFFLINE_MODEL) and not await catalogue.knows("gpt-4o")
        with pytest.raises(NotFound) as refused:
            await catalogue.resolve("kubiya/ofline")
        assert OFFLINE_MODEL in (refused.value.fix or "")


async def test_an_upstream_for_everything_takes_any_name_unchanged() -> None:
    with ScriptedModel(models=("text-embedding-x", "first", "second")) as server:
        async with _Open(base_url=server.url, api_key="k") as catalogue:
            assert catalogue.default() == "first"
            assert [model.id for model in await catalogue.list()] == ["first", "second", OFFLINE_MODEL]
            target = await catalogue.resolve("vendor/anything")
            assert target.model == "vendor/anything" and target.upstream is not None
            assert target.upstream.base_url == server.url and "k" not in repr(target.upstream).split("base_url")[0]
            assert (await catalogue.resolve(DEFAULT_ALIAS)).model == "first"


async def test_the_configured_default_wins_and_is_listed() -> None:
    with ScriptedModel(models=("first",)) as server:
        async with _Open(base_url=server.url, model="chosen") as catalogue:
            assert catalogue.default() == "chosen"
            first = (await catalogue.list())[0]
            assert (first.id, first.recommended) == ("chosen", True)


async def test_before_the_first_look_the_default_is_an_alias_that_a_call_resolves() -> None:
    with ScriptedModel(models=("llama",)) as server:
        http = http_client(5)
        upstreams = tuple(upstreams_of(GatewaySettings(ollama_host=server.url.removesuffix("/v1"))))
        catalogue = Catalogue(upstreams, None, http)
        catalogue.start()
        assert catalogue.default() == DEFAULT_ALIAS
        assert (await catalogue.resolve(DEFAULT_ALIAS)).model == "llama"
        assert catalogue.default() == "llama"
        assert (await catalogue.resolve("ollama/llama")).model == "llama"
        assert not await catalogue.knows("ollama/other")
        await catalogue.close()
        await http.aclose()


async def test_a_name_leaves_the_upstream_for_everything_only_when_that_one_is_known_to_lack_it() -> None:
    with ScriptedModel(models=("local",)) as ollama, ScriptedModel(models=("big",)) as server:
        async with _Open(base_url=server.url, ollama_host=ollama.url.removesuffix("/v1")) as catalogue:
            assert (found := (await catalogue.resolve("local")).upstream) is not None and found.name == "ollama"
            assert (found := (await catalogue.resolve("else")).upstream) is not None and found.name == "custom"
        async with _Open(base_url=NOWHERE, ollama_host=ollama.url.removesuffix("/v1")) as catalogue:
            assert (found := (await catalogue.resolve("local")).upstream) is not None and found.name == "custom"


async def test_openai_prefers_a_small_model_and_knows_its_own_prefix() -> None:
    with ScriptedModel(models=("zzz", PREFERRED[1])) as server:
        async with _Open(openai_api_key="k", openai_base_url=server.url) as catalogue:
            assert catalogue.default() == PREFERRED[1]
            assert (await catalogue.resolve("openai/zzz")).model == "zzz"
            assert await catalogue.knows("zzz") and not await catalogue.knows("yyy")


async def test_a_server_that_lists_its_models_is_believed() -> None:
    with ScriptedModel(models=("llama3:latest", "qwen3:4b")) as server:
        async with _Open(base_url=server.url, model="hidden") as catalogue:
            assert await catalogue.knows("llama3") and await catalogue.knows("qwen3:4b")
            assert await catalogue.knows("hidden"), "the configured default is the operator's word"
            assert not await catalogue.knows("qwen3")
            assert (await catalogue.resolve("qwen3")).upstream is not None, "whoever insists may try"


async def test_no_default_can_be_named_for_an_upstream_that_lists_nothing() -> None:
    async with _Open(base_url=NOWHERE) as catalogue:
        assert catalogue.default() == DEFAULT_ALIAS
        with pytest.raises(Unavailable) as refused:
            await catalogue.resolve(DEFAULT_ALIAS)
        assert "KUBIYA_LLM_MODEL" in (refused.value.fix or "")
        assert await catalogue.knows("anything")


def test_addresses() -> None:
    assert api_base("http://x:8000/") == "http://x:8000/v1"
    assert api_base("https://x/api/v3") == "https://x/api/v3"
    assert ollama_base("0.0.0.0") == "http://127.0.0.1:11434/v1"
    assert ollama_base("http://box:1234") == "http://box:1234/v1"
    assert ollama_base("https://box") == "https://box:443/v1"
