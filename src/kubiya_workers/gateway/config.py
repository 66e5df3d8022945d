"""The models that the gateway is configured with, in the shape of LiteLLM's `model_list`.

An entry whose provider speaks the OpenAI protocol is forwarded by the gateway itself. The shape is LiteLLM's so that
its configuration files can be read as they are, and other providers served by a LiteLLM proxy as one more upstream.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kubiya_workers.settings.server import GatewaySettings

_OLLAMA_PORT = 11434


@dataclass(frozen=True)
class LiteLLMParams:
    """`model` is `provider/name`, and `provider/*` stands for every name."""

    model: str
    api_base: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ModelEntry:
    """One entry of `model_list`: requests for `model_name` go to `litellm_params`; `*` stands for any name."""

    model_name: str
    litellm_params: LiteLLMParams


@dataclass(frozen=True)
class Upstream:
    """One OpenAI-compatible server. `name` is its provider; `catch_all` when it takes any model name unchanged.

    `expected` is false for one that is only looked for: it may well not be there.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    catch_all: bool = False
    expected: bool = True

    @classmethod
    def of(cls, entry: ModelEntry) -> "Upstream":
        params, catch_all = entry.litellm_params, entry.model_name == "*"
        name = "custom" if catch_all else entry.model_name.split("/", 1)[0]
        return cls(name, params.api_base, params.api_key, catch_all=catch_all, expected=name != "ollama")


def entries_of(settings: GatewaySettings) -> tuple[ModelEntry, ...]:
    """The entries that the settings ask for, in the order in which they are preferred."""
    entries: list[ModelEntry] = []
    if settings.base_url:
        entries.append(ModelEntry("*", LiteLLMParams("openai/*", api_base(settings.base_url), settings.api_key)))
    if settings.openai_api_key:
        params = LiteLLMParams("openai/*", api_base(settings.openai_base_url), settings.openai_api_key)
        entries.append(ModelEntry("openai/*", params))
    entries.append(ModelEntry("ollama/*", LiteLLMParams("openai/*", ollama_base(settings.ollama_host))))
    return tuple(entries)


def api_base(url: str) -> str:
    """The base of an OpenAI-compatible API: an address without a path gets the usual `/v1`."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else f"{url}/v1"


def ollama_base(host: str) -> str:
    """Where an Ollama at `host` answers; OLLAMA_HOST is also what the server listens on, so it may say 0.0.0.0."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    port = parts.port or (443 if parts.scheme == "https" else _OLLAMA_PORT)
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}/v1"
