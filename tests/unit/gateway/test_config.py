"""Where the models of the gateway are, from settings and from a LiteLLM configuration."""

import json
from pathlib import Path

import pytest

from kubiya_workers.gateway.catalogue import Catalogue
from kubiya_workers.gateway.config import upstreams_of
from kubiya_workers.gateway.forward import http_client
from kubiya_workers.launchers.litellm import for_gateway
from kubiya_workers.launchers.spec import ConfiguredModels, ModelAccess
from kubiya_workers.settings.server import GatewaySettings
from kubiya_workers.settings.source import BadSetting, Source

PLAIN = [{"model_name": "mine", "litellm_params": {"model": "openai/theirs", "api_base": "http://127.0.0.1:9/v1"}}]
ACCESS = ModelAccess("http://127.0.0.1:8/v1", "sk-x")


def settings(**environ: str) -> GatewaySettings:
    return GatewaySettings.of(Source(environ))


def test_each_provider_key_offers_its_provider() -> None:
    found = settings(MISTRAL_API_KEY="key-of-mistral", GROQ_API_KEY="g", GEMINI_API_KEY="x", OPENROUTER_API_KEY="o")
    assert [upstream.name for upstream in upstreams_of(found)] == ["mistral", "groq", "gemini", "openrouter", "ollama"]
    assert for_gateway.configured(found, {}) is None, "none of them needs LiteLLM"
    assert "key-of-mistral" not in repr(upstreams_of(found))


@pytest.mark.parametrize(
    ("environ", "patterns"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, ["anthropic/claude-sonnet-4-5", "anthropic/*"]),
        ({"AZURE_API_KEY": "k"}, []),
        ({"AZURE_API_KEY": "k", "AZURE_API_BASE": "https://a.example"}, ["azure/*"]),
        (
            {"AWS_BEARER_TOKEN_BEDROCK": "k", "ANTHROPIC_API_KEY": "k"},
            ["anthropic/claude-sonnet-4-5", "anthropic/*", "bedrock/*"],
        ),
        ({"OPENAI_API_KEY": "k"}, []),
    ],
)
def test_litellm_is_needed_for_those_whose_api_is_another(environ: dict[str, str], patterns: list[str]) -> None:
    config = for_gateway.configured(settings(**environ), environ)
    assert list(config.models if config else ()) == patterns
    assert config is None or not for_gateway.is_plain(config)


@pytest.mark.parametrize(
    ("more", "plain"),
    [({}, True), ({"litellm_settings": {}}, False), ({"router_settings": {"num_retries": 1}}, False)],
)
def test_a_file_of_nothing_but_compatible_servers_needs_none(
    tmp_path: Path, more: dict[str, object], plain: bool
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"model_list": PLAIN, **more}))
    config = for_gateway.configured(settings(KUBIYA_LLM_CONFIG=str(file)), {})
    assert config is not None and for_gateway.is_plain(config) is plain
    assert not for_gateway.is_plain(
        type(config)("x", {"model_list": [{"model_name": "a", "litellm_params": {"model": "bedrock/x"}}]})
    )


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(BadSetting, match=r"nowhere\.yaml cannot be read"):
        for_gateway.configured(settings(KUBIYA_LLM_CONFIG="nowhere.yaml"), {})


async def test_names_of_a_configuration_lead_to_their_servers() -> None:
    entries = [
        {"model_name": "claude", "litellm_params": {"model": "bedrock/anthropic.claude"}},
        {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*"}},
    ]
    http = http_client(1.0)
    through = Catalogue(
        tuple(upstreams_of(GatewaySettings(config=Path("c")), ConfiguredModels(entries, ACCESS))), None, http
    )
    plain = Catalogue(tuple(upstreams_of(GatewaySettings(config=Path("c")), ConfiguredModels(PLAIN, None))), None, http)
    try:
        assert (await through.resolve("claude")).model == "claude"
        assert (await through.resolve("anthropic/anything")).model == "anthropic/anything"
        assert not await through.knows("gpt-nothing")
        listed = {model.id: model.provider for model in await through.list()}
        assert listed == {"claude": "bedrock", "kubiya/offline": "kubiya"}
        assert through.default() == "claude"
        target = await plain.resolve("mine")
        assert target.model == "theirs" and target.upstream is not None
        assert target.upstream.base_url == "http://127.0.0.1:9/v1"
        assert not await plain.knows("theirs")
    finally:
        await through.close()
        await plain.close()
        await http.aclose()
