"""A real control plane application on a real SQLite database, called in this process."""

import difflib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.keys import NewKey, Scope
from kubiya_workers.contracts.models import OFFLINE_MODEL, Model
from kubiya_workers.control_plane import app
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.deps import ControlPlane, TemporalAddress
from kubiya_workers.control_plane.services import keys
from kubiya_workers.control_plane.services.objects import ObjectStore
from kubiya_workers.control_plane.services.seeds import seed
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.server import ServerSettings
from kubiya_workers.settings.source import Source


@dataclass
class Engine:
    """Answers for Temporal, as it is told."""

    answer: Check | Exception = field(default_factory=lambda: Check(ok=True, detail="serving"))

    async def health(self) -> Check:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Models:
    async def list(self) -> list[Model]:
        return [
            Model(id=OFFLINE_MODEL, value=OFFLINE_MODEL, label="offline", provider="kubiya"),
            Model(id="m", value="lab/m", label="M", provider="lab"),
        ]

    def price_of(self, name: str) -> None:
        return None

    def default(self) -> str:
        return OFFLINE_MODEL

    fixed_default: str | None = None

    def prefer(self, name: str | None) -> None:
        pass

    async def knows(self, name: str) -> bool:
        return name in (OFFLINE_MODEL, "lab/m")

    def nearest(self, name: str) -> Sequence[str]:
        return difflib.get_close_matches(name, [OFFLINE_MODEL, "lab/m"])


@dataclass
class Api:
    """The application under test, its parts and a client for each scope."""

    app: FastAPI
    plane: ControlPlane
    engine: Engine
    admin: httpx.AsyncClient
    client: httpx.AsyncClient
    read: httpx.AsyncClient
    worker: httpx.AsyncClient
    nobody: httpx.AsyncClient
    open: Callable[[str], httpx.AsyncClient]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(None, tmp_path / "server" / "kubiya.db")
    yield opened
    await opened.close()


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    await seed(database)
    engine = Engine()
    plane = ControlPlane(
        settings=ServerSettings.of(Source({"KUBIYA_HOME": str(tmp_path)})),
        database=database,
        log=cast(Any, None),
        engine=cast(Any, engine),
        temporal=TemporalAddress(host="127.0.0.1:7233", api_key="temporal-worker-key"),
        objects=ObjectStore(Paths(tmp_path).objects),
        models=Models(),
        auth=Auth(database),
    )
    application, opened = app.build(plane), []

    def open_with(key: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(app=application)
        opened.append(httpx.AsyncClient(transport=transport, base_url="http://plane.test:7466", headers=headers))
        return opened[-1]

    made = {scope: (await keys.create(database, NewKey(name=scope, scope=scope))).key for scope in Scope}
    yield Api(application, plane, engine, *(open_with(made[scope]) for scope in Scope), open_with(""), open_with)
    for client in opened:
        await client.aclose()
