"""What of a gateway's models needs LiteLLM, and a LiteLLM for them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from kubiya_workers.observability import logs
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.server import GatewaySettings
from kubiya_workers.settings.source import Source

from ..guard import Guard
from ..spec import ModelAccess
from . import install
from .config import ProxyConfig, read
from .proxy import Seat
from .proxy import running as kept_running

log = logs.get(__name__)

_PLAIN = frozenset({"model", "api_base", "api_key"})
_PREFERRED = {"anthropic": "claude-sonnet-4-5"}
"""The model for runs that name none, of providers that have one for everybody."""
_NAMED = {
    "anthropic": {"api_key": "os.environ/ANTHROPIC_API_KEY"},
    "azure": {"api_key": "os.environ/AZURE_API_KEY", "api_base": "os.environ/AZURE_API_BASE"},
    "bedrock": {},
}


def configured(settings: GatewaySettings, environ: Mapping[str, str]) -> ProxyConfig | None:
    """The user's configuration, or one made of the provider keys of the environment that need it.

    Raises:
        BadSetting: the file cannot be used.
    """
    if settings.config is not None:
        return read(settings.config, environ)
    if not settings.translated:
        return None
    models = [
        {"model_name": f"{name}/{model}", "litellm_params": {"model": f"{name}/{model}", **_NAMED[name]}}
        for name in settings.translated
        for model in (*((_PREFERRED[name],) if name in _PREFERRED else ()), "*")
    ]
    return ProxyConfig("the environment", {"model_list": models})


def is_plain(config: ProxyConfig) -> bool:
    """Whether an OpenAI-compatible server is all that each model needs, so that no LiteLLM is between."""
    return set(config.content) == {"model_list"} and all(
        set(entry) <= {"model_name", "litellm_params", "model_info"}
        and set(entry["litellm_params"]) <= _PLAIN
        and entry["litellm_params"]["model"].startswith("openai/")
        and "api_base" in entry["litellm_params"]
        for entry in config.content["model_list"]
    )


@asynccontextmanager
async def running(paths: Paths, config: ProxyConfig, guard: Guard) -> AsyncGenerator[ModelAccess]:
    """Where it answers, for as long as the context lasts.

    Raises:
        BadSetting: it cannot be installed.
        Unavailable: it does not start.
    """
    python = await install.prepare(paths, progress=_say)
    async with kept_running(Seat(python, config, paths.server, paths.gateway_log, guard), _say) as proxy:
        yield proxy.access


def needed(settings: GatewaySettings) -> bool:
    """Whether a control plane with these settings will start a LiteLLM.

    Raises:
        BadSetting: the configuration cannot be used.
    """
    config = configured(settings, Source.of_process().everything)
    return config is not None and not is_plain(config)


def _say(step: str) -> None:
    log.info(step)
