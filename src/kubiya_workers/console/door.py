"""Who may come in, and what every answer tells a browser.

Loopback is no identity: whoever wants to see anything has exchanged a token that only the owner of the home can make.
A page of another origin, which the same browser shows, has no part of that: Host and Origin are checked on every
request, and what changes something needs a token that only our own pages can read.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubiya_workers.contracts.errors import Forbidden, Refusal, Unauthorized
from kubiya_workers.launchers import signin
from kubiya_workers.launchers.serving.problems import answer_refusal

CSRF = "x-kubiya-csrf"
APIS = ("/console/api", "/api")
_SAFE = ("GET", "HEAD")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MOST_SESSIONS = 1000
_HOW = "open the address that `kubiya worker start` printed, or run: kubiya ui"

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Sessions:
    """The browsers that were let in, remembered by digests of their cookies.

    `clock` is seconds since the epoch; `known` those that a predecessor had let in; `on_change` hears all of them each
    time that another one came in.
    """

    def __init__(
        self,
        secret: str,
        clock: Callable[[], float] = time.time,
        *,
        known: Iterable[str] = (),
        on_change: Callable[[tuple[str, ...]], None] = lambda _: None,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._used: dict[str, float] = {}
        self._open = dict.fromkeys(known)
        self._on_change = on_change

    def exchange(self, token: str) -> str | None:
        """A session for a token that is good and was not used before."""
        now = self._clock()
        if token in self._used or not signin.is_good(self._secret, token, now):
            return None
        self._used = {used: at for used, at in self._used.items() if now - at < 2 * signin.GOOD_FOR_S}
        self._used[token] = now
        session = secrets.token_urlsafe(32)
        self._open[_digest(session)] = None
        while len(self._open) > _MOST_SESSIONS:
            del self._open[next(iter(self._open))]
        self._on_change(tuple(self._open))
        return session

    def knows(self, session: str | None) -> bool:
        return session is not None and _digest(session) in self._open

    def csrf(self, session: str) -> str:
        """What goes with everything that changes something: bound to the session, and useless without it."""
        return hmac.new(self._secret.encode(), f"csrf {session}".encode(), hashlib.sha256).hexdigest()


def _digest(session: str) -> str:
    """Of 256 random bits: no salt or slow hash makes it harder to guess."""
    return hashlib.sha256(session.encode()).hexdigest()


@dataclass(frozen=True)
class Names:
    """The names by which we may be reached: loopback's, with any port since ours may be mapped, and the allowed ones.

    `port` is that on which we listen.
    """

    port: int
    allowed: tuple[str, ...] = ()

    def has(self, host: str) -> bool:
        return _without_port(host.lower()) in _LOOPBACK or self._allows(host)

    def has_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` is ours: at the very name and port that was asked, or at an allowed one."""
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and (parts.netloc == host.lower() or self._allows(parts.netloc))

    def _allows(self, host: str) -> bool:
        host = host.lower()
        return host in self.allowed or _without_port(host) in self.allowed


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


class Door:
    """The middleware. What it lets in has `scope["state"]["session"]`, on the paths of an API."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, names: Names) -> None:
        self._app = app
        self._sessions = sessions
        self._names = names
        self._cookie = f"kubiya_{names.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing else is served
        is_api = is_below(scope["path"], APIS)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers.update(HEADERS)
                if is_api:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check_origin(scope, headers, is_api)
            session = self._session(headers)
            if (exchanged := self._exchange(scope, session)) is not None:
                await exchanged(scope, receive, with_headers)
                return
            if is_api or scope["method"] not in _SAFE:
                self._check_session(scope, headers, session)
        except Refusal as refusal:
            await answer_refusal(refusal)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check_origin(self, scope: Scope, headers: Headers, is_api: bool) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.has(hosts[0]):
            raise Forbidden(
                "this name is not one of ours",
                fix="to reach it by another name: kubiya worker start --webui-allowed-host NAME",
            )
        origin = headers.get("origin")
        if origin is not None and not self._names.has_origin(origin, hosts[0]):
            raise Forbidden("a page of another origin may not do this")
        # A link to one of our pages may be followed from anywhere; nothing else may be asked for by other pages.
        foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if foreign and (is_api or scope["method"] not in _SAFE):
            raise Forbidden("a page of another origin may not do this")

    def _check_session(self, scope: Scope, headers: Headers, session: str | None) -> None:
        if session is None:
            raise Unauthorized("this browser was not let in", fix=_HOW)
        if scope["method"] not in _SAFE:
            said = headers.get(CSRF, "")
            if not hmac.compare_digest(said.encode(), self._sessions.csrf(session).encode()):
                raise Forbidden(f"the header {CSRF} is missing or wrong", fix="reload the page")
        scope.setdefault("state", {})["session"] = session

    def _session(self, headers: Headers) -> str | None:
        for value in _cookies(headers.getlist("cookie"), self._cookie):
            if self._sessions.knows(value):
                return value
        return None

    def _exchange(self, scope: Scope, session: str | None) -> Response | None:
        """The answer to an address with a token: the same address without it, and a cookie."""
        if scope["method"] != "GET" or is_below(scope["path"], APIS):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = next((value for name, value in query if name == "token"), None)
        if token is None:
            return None
        fresh = self._sessions.exchange(token)
        if fresh is None and session is None:
            return HTMLResponse(_USED, 401)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Quoted, so that no backslash or second slash makes it an address elsewhere.
        response = RedirectResponse(quote(scope["path"]) + (f"?{rest}" if rest else ""), 303, _NOT_STORED)
        if fresh is not None:
            response.set_cookie(self._cookie, fresh, path="/", httponly=True, samesite="strict")
        return response


def is_below(path: str, prefixes: Iterable[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _cookies(headers: Iterable[str], name: str) -> Iterable[str]:
    for header in headers:
        try:
            found = SimpleCookie(header).get(name)
        except CookieError:
            continue
        if found is not None:
            yield found.value


_NOT_STORED = {"Cache-Control": "no-store"}
_USED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Kubiya workers</title>
<h1>This address has been used already</h1>
<p>Each lets one browser in, once. For a fresh one run: <code>kubiya ui</code></p>
</html>
"""
