"""The models that executions may use, as the gateway knows them."""

import builtins
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.messages import Price
from kubiya_workers.contracts.models import Model, is_offered, unknown_model
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.contracts.workers import SystemInfo, Worker

from ..store import settings
from ..store.database import Database

_DEFAULT = "default_model"


class Models(Protocol):
    """What the API needs of the gateway."""

    async def list(self) -> builtins.list[Model]: ...
    def default(self) -> str: ...

    @property
    def fixed_default(self) -> str | None: ...

    def prefer(self, name: str | None) -> None: ...

    def price_of(self, name: str) -> Price | None: ...

    async def knows(self, name: str) -> bool: ...

    def nearest(self, name: str) -> Sequence[str]: ...


async def check(models: Models, name: str) -> None:
    """Raises `Invalid` when the gateway has no such model."""
    if not await models.knows(name):
        raise unknown_model(name, "the control plane's gateway", models.nearest(name))


async def check_for(models: Models, name: str, live: Sequence[Worker]) -> None:
    """Refuse a model that no live worker of a queue can call; one without live workers is taken to call ours.

    Raises:
        Invalid: neither the workers' own gateways nor, where one calls it, the control plane's has it.
    """
    offers = [SystemInfo.model_validate(worker.system_info).models for worker in live]
    own = [*chain.from_iterable(filter(None, offers))]
    if is_offered(name, own):
        return
    if not offers or None in offers:
        await check(models, name)
    else:
        raise unknown_model(name, "the gateways of this queue's workers", own)


async def get(models: Models, ref: str) -> Model:
    """By id or value. Raises `NotFound`."""
    found = next((model for model in await models.list() if ref in (model.id, model.value)), None)
    if found is None:
        raise NotFound(f"no model {ref!r}", fix="List them at /api/v1/models")
    return found


async def default(models: Models) -> Model:
    """The model of executions that name none; one that its upstream does not list is shown by its name alone."""
    name = models.default()
    found = next((model for model in await models.list() if name in (model.id, model.value)), None)
    return found or Model(id=name, value=name, label=name, provider="custom")


async def set_default(database: Database, models: Models, name: str) -> Model:
    """Make this the model of executions that name none, on every control plane of the database.

    Raises:
        Conflict: the configuration of the server decides it.
        Invalid: the gateway has no such model.
    """
    if models.fixed_default is not None:
        raise Conflict(
            f"the default is {models.fixed_default!r}, because KUBIYA_LLM_MODEL says so",
            fix="Start the server without KUBIYA_LLM_MODEL, or with the model that you want there.",
        )
    await check(models, name)
    async with database.writing() as connection:
        await settings.put(connection, _DEFAULT, name)
    models.prefer(name)
    return await default(models)


async def recall_default(database: Database, models: Models) -> None:
    """Take up what people set, here or at another control plane of the database."""
    async with database.reading() as connection:
        models.prefer(await settings.get(connection, _DEFAULT))


async def providers(models: Models) -> Sequence[JsonObject]:
    """Each provider with the number of its models, in the order of their names."""
    counts = Counter(model.provider for model in await models.list())
    return [{"id": name, "name": name, "model_count": counts[name]} for name in sorted(counts)]
