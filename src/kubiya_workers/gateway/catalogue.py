"""Which models there are, which is the default, and which upstream serves a name."""

import asyncio
import difflib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from pydantic_core import from_json

from kubiya_workers.contracts.errors import NotFound, Unavailable
from kubiya_workers.contracts.messages import Price
from kubiya_workers.contracts.models import OFFLINE_MODEL, Model, listed_names

from .config import Upstream
from .prices import capabilities_of, price_of

DEFAULT_ALIAS = "kubiya/default"
"""Names whichever model is the default when the call is made."""

PREFERRED = ("gpt-5-mini", "gpt-4.1-mini", "gpt-4o-mini")
"""OpenAI's models in the order in which one is taken as the default."""

_FRESH_S = 60.0
_AGAIN_S = 2.0
"""A name that no list holds makes the lists be fetched again, but not more often than this."""
_LOOK_S = 0.3
_FETCH_S = 5.0
_OTHER_KINDS = ("embed", "tts", "whisper", "dall-e", "moderation", "transcribe", "image", "realtime", "sora")


@dataclass(frozen=True)
class Target:
    """Where a call goes. `upstream` None is the built-in offline model; `model` is the name the upstream knows."""

    model: str
    upstream: Upstream | None


@dataclass(frozen=True)
class _Listing:
    """What an upstream last said: the names of its models, or why it said nothing. `at` in monotonic seconds."""

    names: tuple[str, ...] = ()
    problem: str | None = None
    at: float = field(default_factory=time.monotonic)


class Catalogue:
    """The models of the upstreams, fetched from them, kept for a minute and refreshed behind the caller's back.

    `start` begins the first look without waiting for it; until it ends, `default` answers `DEFAULT_ALIAS` where the
    true default is not known yet, and a call with that name waits for the look.
    """

    def __init__(self, upstreams: tuple[Upstream, ...], default_model: str | None, http: httpx.AsyncClient) -> None:
        self._upstreams = upstreams
        self._configured = default_model
        self._preferred: str | None = None
        self._http = http
        self._listings: dict[str, _Listing] = {}
        self._look: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._catch_all = next((upstream for upstream in upstreams if upstream.catch_all), None)

    def start(self) -> None:
        self._refresh()

    async def close(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)

    async def settled(self) -> None:
        """Until the look that is going on, if any, has ended: at most 0.3 s for Ollama, 5 s for others."""
        if self._look is not None:
            await asyncio.shield(self._look)

    async def list(self) -> list[Model]:
        """Every model that can be called by name, the default one first marked `recommended`; offline comes last."""
        self._refresh_if_older(_FRESH_S)
        if any(not upstream.models and upstream.name not in self._listings for upstream in self._upstreams):
            await self.settled()
        default, found = self.default(), dict[str, str]()
        for upstream in self._upstreams:
            for name in filter(_is_chat, self._names(upstream)):
                named = upstream.models.get(name)
                found.setdefault(name, named.provider if named else upstream.name)
        if default not in (DEFAULT_ALIAS, OFFLINE_MODEL):
            found = {default: found.get(default, self._upstreams[0].name), **found}
        found[OFFLINE_MODEL] = "kubiya"
        return [
            _model(name, provider, order, default, self._listed(name), self.price_of(name))
            for order, (name, provider) in enumerate(found.items())
        ]

    def _listed(self, name: str) -> str:
        """The name that a model has in the list of prices."""
        named = next((upstream.models[name] for upstream in self._upstreams if name in upstream.models), None)
        return named.listed if named else name

    def default(self) -> str:
        """The model for those who name none."""
        self._refresh_if_older(_FRESH_S)
        if chosen := self._configured or self._preferred:
            return chosen
        for upstream in self._upstreams:
            if chosen := self._choice_of(upstream):
                return chosen
        return OFFLINE_MODEL

    @property
    def fixed_default(self) -> str | None:
        """The default that the configuration names: nobody changes it while the server runs."""
        return self._configured

    def prefer(self, name: str | None) -> None:
        """Make this model the default where the configuration names none; None lets the upstreams decide again."""
        self._preferred = name

    def _choice_of(self, upstream: Upstream) -> str | None:
        names = [name for name in self._names(upstream) if _is_chat(name)]
        if upstream.name == "openai":
            return next((name for name in PREFERRED if name in names), names[0] if names else PREFERRED[0])
        if names:
            return names[0]
        unknown = upstream.name not in self._listings
        return DEFAULT_ALIAS if unknown or upstream.expected else None

    async def knows(self, name: str) -> bool:
        """Whether a call with this name has somewhere to go.

        Stricter than `resolve`: a server that takes every name, and lists its models, is believed.
        """
        if name == self._configured:
            return True
        try:
            target = await self.resolve(name)
            if not self._is_listed(target):
                self._refresh_if_older(_AGAIN_S)
                await self.settled()
        except NotFound:
            return False
        except Unavailable:
            return True
        return self._is_listed(target)

    def _is_listed(self, target: Target) -> bool:
        """Whether its upstream has it, as far as that says what it has."""
        if target.upstream is None or target.upstream.models:
            return True
        names = self._names(target.upstream)
        # Ollama lists a model by its name and tag, and takes one without a tag for the latest.
        return not names or target.model in names or f"{target.model}:latest" in names

    def price_of(self, name: str) -> Price | None:
        """What the list says that a model costs; None when it says nothing."""
        return price_of(self._listed(name))

    def nearest(self, name: str) -> Sequence[str]:
        """Up to three names that look like this one."""
        every = [known for upstream in self._upstreams for known in self._names(upstream)]
        return difflib.get_close_matches(name, [*every, OFFLINE_MODEL], n=3, cutoff=0.5)

    async def resolve(self, name: str) -> Target:
        """Where a call for this model goes.

        Raises:
            NotFound: no upstream has it.
            Unavailable: the default was asked for, and the upstream that should say which it is does not answer.
        """
        if name == OFFLINE_MODEL:
            return Target(OFFLINE_MODEL, None)
        if name == DEFAULT_ALIAS:
            return await self._resolve_default()
        target = self._find(name)
        if target is None:
            self._refresh_if_older(_AGAIN_S)
            await self.settled()
            target = self._find(name)
        if target is None:
            raise _unknown(name, self.nearest(name))
        return target

    async def _resolve_default(self) -> Target:
        await self.settled()
        if self.default() == DEFAULT_ALIAS:
            self._refresh_if_older(_AGAIN_S)
            await self.settled()
        chosen = self.default()
        if chosen != DEFAULT_ALIAS:
            return await self.resolve(chosen)
        problems = "; ".join(f"{name}: {said.problem}" for name, said in self._listings.items() if said.problem)
        raise Unavailable(
            f"no default model is known, because the upstream does not list its models ({problems or 'empty list'})",
            fix="set KUBIYA_LLM_MODEL to the model to use, or start the server at KUBIYA_LLM_BASE_URL",
        )

    def _find(self, name: str) -> Target | None:
        # What takes every name loses one to another upstream only when it is known not to have it.
        asked = (self._catch_all,) if self._catch_all and not self._names(self._catch_all) else self._upstreams
        for upstream in asked:
            if name in self._names(upstream):
                return Target(upstream.model_of(name) or name, upstream)
        for upstream in self._upstreams:
            if (model := upstream.model_of(name)) is not None:
                return Target(model, upstream)
        provider, _, rest = name.partition("/")
        for upstream in self._upstreams:
            if rest and provider == upstream.name and not upstream.catch_all and self._may_have(upstream, rest):
                return Target(rest, upstream)
        if self._catch_all is not None:
            return Target(name, self._catch_all)
        return next((Target(name, u) for u in self._upstreams if u.expected and self._may_have(u, name)), None)

    def _may_have(self, upstream: Upstream, name: str) -> bool:
        """A server that was found but does not say what it has may have anything."""
        listing = self._listings.get(upstream.name)
        names = self._names(upstream)
        return name in names or (not names and upstream.expected and listing is not None)

    def _names(self, upstream: Upstream) -> tuple[str, ...]:
        if upstream.models:
            return tuple(name for name in upstream.models if "*" not in name)
        listing = self._listings.get(upstream.name)
        return listing.names if listing is not None else ()

    def _refresh_if_older(self, seconds: float) -> None:
        if time.monotonic() - self._looked_at > seconds:
            self._refresh()

    def _refresh(self) -> None:
        if self._look is None or self._look.done():
            self._looked_at = time.monotonic()
            self._look = asyncio.get_running_loop().create_task(self._look_at_all())

    async def _look_at_all(self) -> None:
        await asyncio.gather(*(self._look_at(upstream) for upstream in self._upstreams if not upstream.models))

    async def _look_at(self, upstream: Upstream) -> None:
        """Fetch one list. A list once known is kept when its server fails to repeat it, unless it was only found."""
        try:
            async with asyncio.timeout(_FETCH_S if upstream.expected else _LOOK_S):
                listing = _Listing(await self._fetch(upstream))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            kept = self._names(upstream) if upstream.expected else ()
            listing = _Listing(kept, problem=str(error) or "no answer in time")
        self._listings[upstream.name] = listing

    async def _fetch(self, upstream: Upstream) -> tuple[str, ...]:
        headers = {"authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else {}
        answer = await self._http.get(f"{upstream.base_url}/models", headers=headers)
        if answer.status_code != 200:
            raise ValueError(f"HTTP {answer.status_code}")
        return tuple(listed_names(from_json(answer.content)))


def _is_chat(name: str) -> bool:
    return not any(kind in name.lower() for kind in _OTHER_KINDS)


def _model(name: str, provider: str, order: int, default: str, listed: str, price: Price | None) -> Model:
    """`listed` is the name in the list of prices."""
    offline = name == OFFLINE_MODEL
    return Model(
        id=name,
        value=name,
        label="Offline (no model: runs the commands in the prompt)" if offline else name,
        provider=provider,
        description="Deterministic and built in; it is not intelligent." if offline else None,
        recommended=name == default,
        capabilities=capabilities_of(listed),
        pricing=None if price is None else price.model_dump(),
        display_order=order,
    )


def _unknown(name: str, nearest: Sequence[str]) -> NotFound:
    fix = f"did you mean {' or '.join(nearest)}?" if nearest else "`kubiya model list` shows the models there are"
    return NotFound(f"there is no model {name!r}", fix=fix)
