"""Who may come in, and what every answer tells a browser.

Loopback is no identity: whoever wants to see anything has exchanged a token that only the owner of the home can make.
A page of another origin, which the same browser shows, has no part of that: Host and Origin are checked on every
request, and what changes something needs a token that only our own pages can read.
"""

import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
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
_KNOWN_S = 3.0

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


class Admission(Protocol):
    """Who is let in, how, and for how long. `cookie` is the name under which a browser keeps its session."""

    cookie: str

    async def exchange(self, token: str) -> str | None:
        """A session for a token that is good and was not used before."""
        ...

    async def knows(self, session: str) -> bool:
        """Whether this session is still good."""
        ...

    def csrf(self, session: str) -> str:
        """What goes with everything that changes something: bound to the session, and useless without it."""
        ...


class Sessions:
    """The browsers that were let in by tokens of this start, remembered by digests of their cookies.

    `clock` is seconds since the epoch; `known` those that a predecessor had let in; `on_change` hears all of them each
    time that another one came in.
    """

    def __init__(
        self,
        secret: str,
        clock: Callable[[], float] = time.time,
        *,
        cookie: str = "kubiya",
        known: Iterable[str] = (),
        on_change: Callable[[tuple[str, ...]], None] = lambda _: None,
    ) -> None:
        self.cookie = cookie
        self._secret = secret
        self._clock = clock
        self._used: dict[str, float] = {}
        self._open = dict.fromkeys(known)
        self._on_change = on_change

    async def exchange(self, token: str) -> str | None:
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

    async def knows(self, session: str) -> bool:
        return _digest(session) in self._open

    def csrf(self, session: str) -> str:
        return signed(self._secret, f"csrf {session}")


def signed(secret: str, text: str) -> str:
    """HMAC-SHA256, in hex."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Entrance:
    """Where the door stands. `base` is the path below which everything is; `open` are the paths that let people in."""

    base: str = ""
    open: tuple[str, ...] = ()
    how: str = "open the address that `kubiya worker start` printed, or run: kubiya ui"
    """How one is let in."""
    named: str = "kubiya worker start --webui-allowed-host NAME"
    """How another name is allowed."""
    again: str = "kubiya ui"
    """What makes a fresh address."""


POOL = Entrance()


def _digest(session: str) -> str:
    """Of 256 random bits: no salt or slow hash makes it harder to guess."""
    return hashlib.sha256(session.encode()).hexdigest()


@dataclass(frozen=True)
class Names:
    """The names by which we may be reached: loopback's, with any port since ours may be mapped, and allowed ones.

    `own` are those on which we listen: what else listens there, on another port, is no friend for it.
    """

    allowed: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    def has(self, host: str) -> bool:
        name = _without_port(host.lower())
        return name in _LOOPBACK or name in self.own or self._allows(host)

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


class _NotKnown(Exception):
    """The session has ended while something was sent."""


class Door:
    """The middleware. What it lets in has `scope["state"]["session"]`, on the paths of an API."""

    def __init__(self, app: ASGIApp, *, sessions: Admission, names: Names, entrance: Entrance = POOL) -> None:
        self._app = app
        self._sessions = sessions
        self._names = names
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # nothing of the kind is served
                await send({"type": "websocket.close", "code": 1008})
            return
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
            session = await self._session(headers)
            if (exchanged := await self._exchange(scope, headers, session)) is not None:
                await exchanged(scope, receive, with_headers)
                return
            if scope["path"] not in self._entrance.open and (is_api or scope["method"] not in _SAFE):
                self._check_session(scope, headers, session)
        except Refusal as refusal:
            await answer_refusal(refusal)(scope, receive, with_headers)
            return
        known = with_headers if session is None else self._while_known(session, with_headers)
        with contextlib.suppress(_NotKnown):
            await self._app(scope, receive, known)

    def _while_known(self, session: str, send: Send) -> Send:
        """Sends for as long as the session is good: a stream may outlive it by moments, and says nothing then."""
        checked = time.monotonic()

        async def checking(message: Message) -> None:
            nonlocal checked
            if message["type"] == "http.response.body" and time.monotonic() - checked > _KNOWN_S:
                if not await self._sessions.knows(session):
                    await send({"type": "http.response.body", "body": b""})
                    raise _NotKnown
                checked = time.monotonic()
            await send(message)

        return checking

    def _check_origin(self, scope: Scope, headers: Headers, is_api: bool) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.has(hosts[0]):
            raise Forbidden(
                "this name is not one of ours",
                fix=f"to reach it by another name: {self._entrance.named}",
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
            raise Unauthorized("this browser was not let in", fix=self._entrance.how)
        if scope["method"] not in _SAFE:
            said = headers.get(CSRF, "")
            if not hmac.compare_digest(said.encode(), self._sessions.csrf(session).encode()):
                raise Forbidden(f"the header {CSRF} is missing or wrong", fix="reload the page")
        scope.setdefault("state", {})["session"] = session

    async def _session(self, headers: Headers) -> str | None:
        for value in _cookies(headers.getlist("cookie"), self._sessions.cookie):
            if await self._sessions.knows(value):
                return value
        return None

    async def _exchange(self, scope: Scope, headers: Headers, session: str | None) -> Response | None:
        """The answer to an address with a token: the same address without it, and a cookie."""
        if scope["method"] != "GET" or is_below(scope["path"], APIS):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = next((value for name, value in query if name == "token"), None)
        if token is None:
            return None
        fresh = await self._sessions.exchange(token)
        if fresh is None and session is None:
            return HTMLResponse(_USED.format(again=self._entrance.again), 401)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Quoted, so that no backslash or second slash makes it an address elsewhere.
        place = self._entrance.base + quote(scope["path"])
        response = RedirectResponse(place + (f"?{rest}" if rest else ""), 303, _NOT_STORED)
        if fresh is not None:
            let_in(response, self._sessions.cookie, fresh, base=self._entrance.base, secure=is_secure(scope, headers))
        return response


def let_in(response: Response, cookie: str, session: str, *, base: str, secure: bool) -> None:
    """Have the browser keep its session: no script sees it, no other site has it sent."""
    response.set_cookie(cookie, session, path=base or "/", httponly=True, samesite="strict", secure=secure)


def is_secure(scope: Scope, headers: Headers) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy before us; who lies about it harms themselves."""
    told = (headers.get("x-forwarded-proto", ""), urlsplit(headers.get("origin", "")).scheme)
    return scope["scheme"] == "https" or "https" in told


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
<p>Each lets one browser in, once. For a fresh one run: <code>{again}</code></p>
</html>
"""
