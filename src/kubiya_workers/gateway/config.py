"""Where the models of the gateway are, from its settings and from a LiteLLM configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from kubiya_workers.launchers.spec import ConfiguredModels
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings.server import GatewaySettings
from kubiya_workers.settings.source import Source

_OLLAMA_PORT = 11434
_REFERENCE = "os.environ/"


@dataclass(frozen=True)
class Named:
    """A model with a name of the configuration's: who provides it, and what the upstream calls it."""

    provider: str
    model: str
    listed: str = ""
    """Its name in the list of prices."""


@dataclass(frozen=True)
class Upstream:
    """One OpenAI-compatible server. `catch_all` when it takes any model name unchanged.

    `expected` is false for one that is only looked for: it may well not be there. `models` are those that a
    configuration names; then the server is not asked which it has. A name may be a pattern: `anthropic/*`.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    catch_all: bool = False
    expected: bool = True
    models: Mapping[str, Named] = field(default_factory=dict[str, Named])

    @cached_property
    def redactor(self) -> Redactor:
        """Takes what lets callers in out of its words: servers quote the key that they refuse."""
        password = urlsplit(self.base_url).password
        return Redactor(text for text in (self.api_key, password, unquote(password or "")) if text)

    def model_of(self, name: str) -> str | None:
        """What it calls the model that people ask for by `name`; None when no pattern or name of its own fits."""
        if (named := self.models.get(name)) is not None:
            return named.model
        return name if any("*" in pattern and fnmatchcase(name, pattern) for pattern in self.models) else None


def upstreams_of(settings: GatewaySettings, configured: ConfiguredModels | None = None) -> list[Upstream]:
    """The upstreams, in the order in which they are preferred. With a configuration, it alone names the models."""
    found = _configured(configured) if configured else []
    if settings.config is not None:
        return found
    if settings.base_url:
        found.append(Upstream("custom", api_base(settings.base_url), settings.api_key, catch_all=True))
    if settings.openai_api_key:
        found.append(Upstream("openai", api_base(settings.openai_base_url), settings.openai_api_key))
    found += [Upstream(provider.name, provider.base_url, provider.api_key) for provider in settings.compatible]
    found.append(Upstream("ollama", ollama_base(settings.ollama_host), expected=False))
    return found


def _configured(configured: ConfiguredModels) -> list[Upstream]:
    if configured.litellm is not None:
        access = configured.litellm
        models = {str(entry["model_name"]): _through(entry) for entry in configured.entries}
        return [Upstream("litellm", access.url, access.key, models=models)]
    return list(map(_plain, configured.entries))


def _plain(entry: Mapping[str, Any]) -> Upstream:
    name, params = str(entry["model_name"]), entry["litellm_params"]
    model = str(params["model"]).partition("/")[2]
    return Upstream(
        name,
        _value(params["api_base"]),
        _value(params.get("api_key")) or None,
        models={name: Named("openai", model, listed=model)},
    )


def _through(entry: Mapping[str, Any]) -> Named:
    listed = str(entry["litellm_params"]["model"])
    return Named(listed.partition("/")[0], str(entry["model_name"]), listed)


def _value(text: str | None) -> str:
    """A value of the configuration, from the environment where it refers to that."""
    if text is not None and text.startswith(_REFERENCE):
        return Source.of_process().text_of(text.removeprefix(_REFERENCE))
    return text or ""


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
