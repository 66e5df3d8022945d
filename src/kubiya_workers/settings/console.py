"""What the web interface of a machine's workers is built with."""

from dataclasses import dataclass

from . import variables as v
from .source import BadSetting, Source


@dataclass(frozen=True)
class ConsoleSettings:
    """`allowed_hosts` are names, with or without a port, by which it may be reached besides those of loopback."""

    on: bool = True
    host: str = v.WEBUI_HOST.default
    port: int = v.WEBUI_PORT.default
    allowed_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Source) -> "ConsoleSettings":
        names = (name.strip().lower() for name in source.get(v.WEBUI_ALLOWED_HOSTS).split(","))
        hosts = tuple(name for name in names if name)
        for name in hosts:
            if "/" in name or "*" in name or "@" in name:
                raise BadSetting(f"{v.WEBUI_ALLOWED_HOSTS.name}: {name!r} is no host, such as workers.example.com")
        return cls(source.get(v.WEBUI), source.get(v.WEBUI_HOST), source.get(v.WEBUI_PORT), hosts)
