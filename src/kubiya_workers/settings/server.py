"""What a control plane is built with."""

import stat
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from . import variables as v
from .console import ConsoleSettings
from .on_demand import OnDemandSettings
from .paths import Paths
from .proxies import Proxies, is_loopback
from .source import BadSetting, Source


@dataclass(frozen=True)
class TemporalSettings:
    """How to reach Temporal. `host` is None for the embedded server. Certificate fields are paths of PEM files."""

    host: str | None = None
    namespace: str = "default"
    api_key: str | None = field(default=None, repr=False)
    worker_api_key: str | None = field(default=None, repr=False)
    """What workers are handed: never the control plane's own key."""
    tls: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
    tls_server_name: str | None = None
    tunnel: bool = False
    """Workers of other hosts reach it through the control plane, as they always do an embedded one."""
    proxies: Proxies = field(default_factory=Proxies)

    @classmethod
    def of(cls, source: Source) -> "TemporalSettings":
        cert, key = source.get(v.TEMPORAL_TLS_CERT) or None, source.get(v.TEMPORAL_TLS_KEY) or None
        if (cert is None) != (key is None):
            raise BadSetting("TEMPORAL_TLS_CERT and TEMPORAL_TLS_KEY must be set together")
        api_key, ca = source.get(v.TEMPORAL_API_KEY) or None, source.get(v.TEMPORAL_TLS_CA) or None
        return cls(
            host=source.get(v.TEMPORAL_HOST) or None,
            namespace=source.get(v.TEMPORAL_NAMESPACE),
            api_key=api_key,
            worker_api_key=source.get(v.TEMPORAL_WORKER_API_KEY) or None,
            tls=source.get(v.TEMPORAL_TLS) or any((api_key, cert, ca)),
            tls_cert=cert,
            tls_key=key,
            tls_ca=ca,
            tls_server_name=source.get(v.TEMPORAL_TLS_SERVER_NAME) or None,
            tunnel=source.get(v.TEMPORAL_TUNNEL),
            proxies=Proxies.of(source),
        )


COMPATIBLE = (
    (v.MISTRAL_API_KEY, "mistral", "https://api.mistral.ai/v1"),
    (v.GROQ_API_KEY, "groq", "https://api.groq.com/openai/v1"),
    (v.GEMINI_API_KEY, "gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    (v.OPENROUTER_API_KEY, "openrouter", "https://openrouter.ai/api/v1"),
)
"""Providers whose API is OpenAI's, with the addresses that they document."""
THROUGH_LITELLM = (
    ("anthropic", (v.ANTHROPIC_API_KEY,)),
    ("azure", (v.AZURE_API_KEY, v.AZURE_API_BASE)),
    ("bedrock", (v.BEDROCK_API_KEY,)),
)
"""Those whose API is another, with what must be set for them."""


@dataclass(frozen=True)
class Provider:
    """A provider of models whose API is OpenAI's."""

    name: str
    base_url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True)
class GatewaySettings:
    """Which upstreams serve model calls; with none of them, the built-in offline model does."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    openai_api_key: str | None = field(default=None, repr=False)
    openai_base_url: str = v.OPENAI_BASE_URL.default
    ollama_host: str = v.OLLAMA_HOST.default
    config: Path | None = None
    """A LiteLLM configuration: with it, no provider is taken from the environment."""
    compatible: tuple[Provider, ...] = ()
    translated: tuple[str, ...] = ()
    """Names of the providers that need LiteLLM."""

    @property
    def secrets(self) -> list[str | None]:
        """What must be in no log."""
        return [self.api_key, self.openai_api_key, *(provider.api_key for provider in self.compatible)]

    @classmethod
    def of(cls, source: Source, *, config: str | None = None) -> "GatewaySettings":
        ollama, named = source.get(v.OLLAMA_HOST), source.get(v.LLM_CONFIG, config)
        keys = [(name, base, source.get(variable)) for variable, name, base in COMPATIBLE]
        return cls(
            config=Path(named).expanduser() if named else None,
            compatible=tuple(Provider(name, base, key) for name, base, key in keys if key),
            translated=tuple(name for name, needed in THROUGH_LITELLM if all(map(source.get, needed))),
            base_url=source.get(v.LLM_BASE_URL) or None,
            api_key=source.get(v.LLM_API_KEY) or None,
            model=source.get(v.LLM_MODEL) or None,
            openai_api_key=source.get(v.OPENAI_API_KEY) or None,
            openai_base_url=source.get(v.OPENAI_BASE_URL),
            ollama_host=ollama if "://" in ollama else f"http://{ollama}",
        )


@dataclass(frozen=True)
class TraceSettings:
    """Whether traces of runs are exported; the exporter reads its other settings from the environment itself."""

    on: bool = False
    with_content: bool = False
    """With prompts, answers, and what tools were given and returned."""
    headers: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, source: Source) -> "TraceSettings":
        wanted = source.first(v.OTLP_TRACES_ENDPOINT, v.OTLP_ENDPOINT) is not None
        off = source.get(v.OTEL_DISABLED) or source.get(v.OTEL_TRACES_EXPORTER) == "none"
        if wanted and not off:
            source.get(v.OTLP_PROTOCOL)  # another one would be silently not spoken
        return cls(wanted and not off, source.get(v.OTEL_CONTENT), source.first(v.OTLP_HEADERS))

    @property
    def secrets(self) -> list[str]:
        """The values of the headers, which mostly are keys."""
        return [value for part in (self.headers or "").split(",") if (value := part.partition("=")[2].strip())]


@dataclass(frozen=True)
class TlsFiles:
    """Paths of the certificate (PEM, with its chain) and the key that the control plane serves https with."""

    certificate: str
    key: str

    @classmethod
    def of(cls, source: Source, certificate: str | None = None, key: str | None = None) -> "TlsFiles | None":
        """None where there is no certificate: then it serves http.

        Raises:
            BadSetting: one of them is missing.
        """
        certificate, key = source.get(v.TLS_CERT, certificate), source.get(v.TLS_KEY, key)
        if bool(certificate) != bool(key):
            raise BadSetting(
                f"--tls-cert and --tls-key ({v.TLS_CERT.name}, {v.TLS_KEY.name}) go together: one is missing"
            )
        return cls(str(Path(certificate).expanduser()), str(Path(key).expanduser())) if certificate else None

    @property
    def key_is_open(self) -> bool:
        """Whether every user may read the key. That is told and not refused: mounted secrets mostly are so."""
        with suppress(OSError):
            return bool(Path(self.key).stat().st_mode & stat.S_IROTH)
        return False


@dataclass(frozen=True)
class ServerSettings:
    """The control plane of one machine or of a company. `database_url` is None for SQLite in the home."""

    paths: Paths
    host: str
    port: int
    database_url: str | None = field(repr=False)
    temporal: TemporalSettings
    temporal_port: int
    gateway: GatewaySettings
    accepted_key: str | None = field(repr=False)
    """KUBIYA_API_KEY of the user who starts the server: accepted as an admin key."""
    tls: TlsFiles | None = None
    traces: TraceSettings = field(default_factory=TraceSettings)
    web: ConsoleSettings = field(default_factory=ConsoleSettings)
    on_demand: OnDemandSettings = field(default_factory=OnDemandSettings)
    keep_executions: timedelta | None = None
    """How long, once they are over; None is for ever."""
    log_level: str = "INFO"
    log_format: str = "text"

    @classmethod
    def of(
        cls,
        source: Source,
        *,
        host: str | None = None,
        port: int | None = None,
        llm_config: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        provisioner: str | None = None,
    ) -> "ServerSettings":
        listens, database = source.get(v.SERVER_HOST, host), source.get(v.DATABASE_URL) or None
        temporal = TemporalSettings.of(source)
        embedded = is_loopback(listens) and database is None and temporal.host is None
        return cls(
            paths=Paths.of(source),
            host=listens,
            port=source.get(v.SERVER_PORT, port),
            database_url=database,
            temporal=temporal,
            on_demand=OnDemandSettings.of(source, embedded=embedded, kind=provisioner),
            temporal_port=source.get(v.TEMPORAL_PORT),
            gateway=GatewaySettings.of(source, config=llm_config),
            accepted_key=source.get(v.API_KEY) or None,
            tls=TlsFiles.of(source, tls_cert, tls_key),
            traces=TraceSettings.of(source),
            keep_executions=timedelta(seconds=kept) if (kept := source.get(v.KEEP_EXECUTIONS)) else None,
            web=ConsoleSettings.of(source),
            log_level="DEBUG" if source.get(v.KUBIYA_DEBUG) else source.get(v.LOG_LEVEL),
            log_format=source.get(v.LOG_FORMAT),
        )
