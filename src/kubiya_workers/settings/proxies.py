"""The proxies of the environment, as curl and most programs read them: either case, with exceptions in NO_PROXY."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from . import variables as v
from .source import Source, Variable


@dataclass(frozen=True)
class Proxy:
    """`address` is host:port; `credentials` user and password, where it wants them."""

    address: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Proxies:
    """`http` and `https` are the proxies' own addresses, for targets of that kind; empty where there is none."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    exceptions: str = ""

    @classmethod
    def of(cls, source: Source) -> "Proxies":
        """Raises BadSetting: a value is no address."""
        for_all = _either(source, v.ALL_PROXY)
        return cls(
            http=_either(source, v.HTTP_PROXY) or for_all,
            https=_either(source, v.HTTPS_PROXY) or for_all,
            exceptions=_either(source, v.NO_PROXY),
        )

    def towards(self, host: str, *, secure: bool = True) -> Proxy | None:
        """The proxy between us and a host; None for this machine, and for exceptions."""
        url = self.url_towards(host, secure=secure)
        if url is None:
            return None
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        return Proxy(f"{parts.hostname}:{port}", credentials)

    def url_towards(self, host: str, *, secure: bool = True) -> str | None:
        """The same as it was given, with what it is told to let us through."""
        url = self.https if secure else self.http
        return None if not url or is_loopback(host) or self._is_excepted(host) else url

    def _is_excepted(self, host: str) -> bool:
        """A name means its subdomains too, with or without a dot before it; `*` means everything."""
        names = [name.strip().lstrip(".").lower() for name in self.exceptions.split(",")]
        plain = host.lower()
        return any(name in ("*", plain) or plain.endswith(f".{name}") for name in names if name)


def is_loopback(host: str) -> bool:
    """Whether a host, by name or number, is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _either(source: Source, variable: Variable[str]) -> str:
    """The value under its name in lower case, which wins as it does with curl, or as written."""
    lower = Variable(variable.name.lower(), variable.meaning, "", variable.parse, secret=variable.secret)
    return source.get(lower) or source.get(variable)
