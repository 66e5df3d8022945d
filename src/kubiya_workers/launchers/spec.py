"""What is to be started, and what a started server says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from kubiya_workers.contracts.wire import Timestamp, Wire


class ServerMode(StrEnum):
    DAEMON = "daemon"
    """Stays until it is told to stop."""
    ON_DEMAND = "on-demand"
    """Ends when the last command that uses it has ended, however that command ended."""
    FOREGROUND = "foreground"
    """Ends with its terminal; logs to it."""


class ServerState(Wire):
    """The embedded server of a home, as its state file tells; `process_start` tells a reused pid apart."""

    pid: int
    process_start: str
    url: str
    version: str
    mode: ServerMode
    started_at: Timestamp
    temporal: str = ""
    tls_url: str = ""
    """Where it speaks TLS, for everybody; `url` is then for this machine alone."""


class StartReport(Wire):
    """The one line with which a starting server answers whoever started it: its state, or why it did not start."""

    state: ServerState | None = None
    first_key: str | None = None
    """The admin key, in the start that made it, to be shown once."""
    code: str = ""
    detail: str = ""
    fix: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A control plane that is there, and the key to it. `started`: it was not there before."""

    url: str
    key: str = field(repr=False)
    started: bool = False
    first_key: str | None = field(default=None, repr=False)
    tls_url: str = ""
    """Where others reach it, if it speaks TLS."""


@dataclass(frozen=True)
class ModelAccess:
    """Where models are called: an OpenAI-compatible base address and the key that it asks for.

    `default_model` is for runs that name none; `hidden` are variables that only what serves the models may know.
    """

    url: str
    key: str = field(repr=False)
    default_model: str | None = None
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ConfiguredModels:
    """A `model_list` of LiteLLM's, and the LiteLLM that serves it; None where each model's server is called itself."""

    entries: Sequence[Mapping[str, Any]]
    litellm: ModelAccess | None


@dataclass(frozen=True)
class ServerFlags:
    """What a control plane's process is told on its command line; None leaves it to its environment."""

    host: str | None = None
    port: int | None = None
    llm_config: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    provisioner: str | None = None

    @property
    def words(self) -> list[str]:
        files = {"--llm-config": self.llm_config, "--tls-cert": self.tls_cert, "--tls-key": self.tls_key}
        paths = {name: path.absolute() for name, path in files.items() if path is not None}
        texts = {"--host": self.host, "--port": self.port, "--provisioner": self.provisioner}
        given: dict[str, object] = {**texts, **paths}
        return [word for name, value in given.items() if value is not None for word in (name, str(value))]


@dataclass(frozen=True)
class LocalWorker:
    """A worker process of this machine. `env` comes on top of the user's own environment, or of what it `inherits`."""

    queue: str
    url: str
    key: str = field(repr=False)
    cwd: Path
    single_execution: bool = False
    python: Path | None = None
    """The interpreter of its environment; None runs it on our own."""
    log: Path | None = None
    """Where it logs on when whoever read its output is gone."""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    inherits: Mapping[str, str] | None = field(default=None, repr=False)
    """Instead of the whole environment of who starts it."""
    proxy_config: Path | None = None
    """The configuration of a LiteLLM of its own, checked; None where it uses the control plane's gateway."""
    models: ModelAccess | None = None
    """Where that LiteLLM answers, once it does."""
