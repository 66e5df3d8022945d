"""Who may do what."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import httpx
import pytest

from kubiya_workers.contracts.errors import Conflict, Unauthorized, Unavailable
from kubiya_workers.contracts.keys import NewKey, Scope
from kubiya_workers.control_plane import auth
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.key_uses import KeyUses
from kubiya_workers.control_plane.services import keys
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.settings.paths import Paths

from .conftest import Api


@pytest.mark.parametrize("scheme", ["Bearer", "UserKey", "bearer", "USERKEY"])
async def test_both_schemes_open(api: Api, scheme: str) -> None:
    made = await keys.create(api.plane.database, NewKey(name="k"))
    answer = await api.nobody.get("/api/v1/agents", headers={"Authorization": f"{scheme} {made.key}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer kbw_unknown", "Basic dTpw", "kbw_bare"])
async def test_without_a_good_key_401(api: Api, header: str | None) -> None:
    answer = await api.nobody.get("/api/v1/agents", headers={"Authorization": header} if header is not None else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"
    assert answer.json()["fix"]


PEOPLE = [
    ("GET", "/agents"),
    ("GET", "/skills"),
    ("GET", "/skills/definitions"),
    ("GET", "/environments"),
    ("GET", "/worker-queues"),
    ("GET", "/workers"),
    ("DELETE", "/agents/nobody"),
    ("PATCH", "/worker-queues/nobody"),
]


@pytest.mark.parametrize(("method", "path"), PEOPLE)
async def test_a_worker_key_does_nothing_that_people_do(api: Api, method: str, path: str) -> None:
    answer = await api.worker.request(method, f"/api/v1{path}", json={} if method == "PATCH" else None)
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/keys"), ("POST", "/keys"), ("POST", "/keys/enroll"), ("DELETE", "/keys/x")]
)
async def test_keys_are_for_admins(api: Api, method: str, path: str) -> None:
    for caller in (api.client, api.worker):
        answer = await caller.request(method, f"/api/v1{path}", json={"name": "n", "key": "k"})
        assert answer.status_code == 403


async def test_a_registration_key_is_no_worker(api: Api) -> None:
    for caller in (api.worker, api.client):
        answer = await caller.post("/api/v1/workers/w/heartbeat", json={})
        assert answer.status_code == 403
        assert (await caller.get(f"/api/v1/objects/{'0' * 64}")).status_code == 403


async def test_a_key_is_made_shown_once_and_revoked(api: Api) -> None:
    made = (await api.admin.post("/api/v1/keys", json={"name": "ci", "scope": "client"})).json()
    assert made["key"].startswith(made["prefix"])
    client = api.open(made["key"])
    assert (await client.get("/api/v1/agents")).status_code == 200
    listed = (await api.admin.get("/api/v1/keys")).text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert (await api.admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    refused = await client.get("/api/v1/agents")
    assert (refused.status_code, refused.json()["detail"]) == (401, "the key was revoked")


async def test_only_the_digest_is_stored(api: Api, tmp_path: Path) -> None:
    made = await keys.create(api.plane.database, NewKey(name="k"))
    await api.plane.database.close()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "server").glob("kubiya.db*"))
    assert auth.digest(made.key).encode() in stored
    assert made.key.encode() not in stored


async def test_an_expired_key_is_refused_also_while_remembered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    made = await keys.create(database, NewKey(name="k", expires_at=soon))
    authority = Auth(database)
    await authority.authenticate_key(made.key)

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp((soon + timedelta(seconds=1)).timestamp(), tz)

    monkeypatch.setattr(auth, "datetime", Later)
    with pytest.raises(Unauthorized, match="expired"):
        await authority.authenticate_key(made.key)


async def test_a_revocation_elsewhere_counts_when_the_memory_ends(database: Database) -> None:
    now = 0.0
    here, elsewhere = Auth(database, lambda: now), Auth(database)
    made = await keys.create(database, NewKey(name="k"))
    await here.authenticate_key(made.key)
    await keys.create(database, NewKey(name="admin", scope=Scope.ADMIN))
    await keys.revoke(database, elsewhere, made.id)
    await here.authenticate_key(made.key)
    now = auth.REMEMBER_S
    with pytest.raises(Unauthorized, match="revoked"):
        await here.authenticate_key(made.key)


async def test_the_last_admin_key_stays(database: Database, tmp_path: Path) -> None:
    await keys.ensure_admin(database, Paths(tmp_path), None)
    (only,) = await keys.list_(database, KeyUses(database), skip=0, limit=10)
    with pytest.raises(Conflict, match="last admin key"):
        await keys.revoke(database, Auth(database), only.id)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "k", "scope": "client", "queue_id": "q"}, 422),
        ({"name": "k", "scope": "worker", "queue_id": "q"}, 404),
        ({"name": "k", "scope": "god"}, 422),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(api: Api, body: dict[str, str], status: int) -> None:
    assert (await api.admin.post("/api/v1/keys", json=body)).status_code == status


async def test_first_start_makes_a_private_credentials_file(database: Database, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    first = await keys.ensure_admin(database, paths, None)
    assert first.created is not None
    assert first.created not in repr(first)
    assert paths.credentials.read_text().strip() == first.created
    assert paths.credentials.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in paths.server.iterdir()] == [paths.credentials.name]
    assert (await Auth(database).authenticate_key(first.created)).scope is Scope.ADMIN
    assert (await keys.ensure_admin(database, paths, None)).created is None


async def test_lost_credentials_are_made_anew_and_the_old_end(database: Database, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    first = (await keys.ensure_admin(database, paths, None)).created
    for damage in (paths.credentials.unlink, lambda: paths.credentials.write_bytes(b"\xff\xfe")):
        damage()
        second = (await keys.ensure_admin(database, paths, None)).created
        assert first
        assert second
        with pytest.raises(Unauthorized, match="revoked"):
            await Auth(database).authenticate_key(first)
        await Auth(database).authenticate_key(second)
        first = second


async def test_no_key_is_made_where_its_file_cannot_be_written(database: Database, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(Unavailable, match="credentials file"):
        await keys.ensure_admin(database, Paths(tmp_path / "home"), None)
    assert await keys.list_(database, KeyUses(database), skip=0, limit=10) == []


async def test_the_key_of_the_environment_is_accepted(database: Database, tmp_path: Path) -> None:
    for _ in range(2):
        first = await keys.ensure_admin(database, Paths(tmp_path), "my-own-key")
        assert not first.environment_key_revoked
    caller = await Auth(database).authenticate_key("my-own-key")
    assert (caller.name, caller.scope) == ("environment", Scope.ADMIN)
    await keys.revoke(database, Auth(database), caller.key_id)
    assert (await keys.ensure_admin(database, Paths(tmp_path), "my-own-key")).environment_key_revoked


async def test_a_user_may_bring_a_key(api: Api) -> None:
    for _ in range(2):
        answer = await api.admin.post("/api/v1/keys/enroll", json={"key": "brought-along"})
        assert answer.status_code == 200
        assert "brought-along" not in answer.text
    brought = api.open("brought-along")
    assert (await brought.get("/api/v1/keys")).status_code == 200
    assert (await api.admin.delete(f"/api/v1/keys/{answer.json()['id']}")).status_code == 204
    assert (await brought.get("/api/v1/keys")).status_code == 401
    again = await api.admin.post("/api/v1/keys/enroll", json={"key": "brought-along"})
    assert again.status_code == 409
    assert (await api.admin.post("/api/v1/keys/enroll", json={"key": "two words"})).status_code == 422


async def test_a_rejected_key_is_never_repeated(api: Api) -> None:
    answer: httpx.Response = await api.admin.post("/api/v1/keys/enroll", json={"key": ["sk-secret-value"]})
    assert answer.status_code == 422
    assert "sk-secret-value" not in answer.text
