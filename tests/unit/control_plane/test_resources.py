"""Agents, skills, environments, models and objects over the API."""

import hashlib
from typing import Any

import pytest

from kubiya_workers.control_plane.services import objects
from kubiya_workers.control_plane.services.seeds import seed

from .conftest import Api


async def test_the_seeds_are_there_once(api: Api) -> None:
    await seed(api.plane.database)
    (agent,) = (await api.client.get("/api/v1/agents")).json()
    assert agent["name"] == "default"
    assert agent["system_prompt"]
    skills = {skill["name"]: skill for skill in (await api.client.get("/api/v1/skills")).json()}
    assert set(skills) == {"shell", "file_system", "http"}
    assert agent["skill_ids"] == [skills["shell"]["id"], skills["file_system"]["id"]]
    assert skills["shell"]["type"] == skills["shell"]["skill_type"] == "shell"
    assert [environment["name"] for environment in (await api.client.get("/api/v1/environments")).json()] == ["default"]


async def test_an_agent_lives(api: Api) -> None:
    new = {"name": "ops", "system_prompt": "Be brief.", "skill_ids": ["shell"], "environment_ids": ["default"]}
    answer = await api.client.post("/api/v1/agents", json=new)
    assert answer.status_code == 201
    made = answer.json()
    assert made["created_at"].endswith("Z")
    shell = (await api.client.get("/api/v1/skills/shell")).json()
    assert made["skill_ids"] == [shell["id"]]
    for ref in (made["id"], "ops"):
        assert (await api.client.get(f"/api/v1/agents/{ref}")).json() == made
    changed = (await api.client.patch("/api/v1/agents/ops", json={"model_id": "m", "system_prompt": None})).json()
    assert (changed["model_id"], changed["system_prompt"], changed["skill_ids"]) == ("m", None, made["skill_ids"])
    assert (await api.client.get("/api/v1/agents?skip=1&limit=1")).json() == [changed]
    assert (await api.client.delete("/api/v1/agents/ops")).status_code == 204
    assert (await api.client.get("/api/v1/agents/ops")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/agents", {"name": "default"}, 409),
        ("POST", "/agents", {"name": "a", "skill_ids": ["nothing"]}, 422),
        ("POST", "/agents", {"name": "a", "environment_ids": ["nothing"]}, 422),
        ("PATCH", "/agents/default", {"name": "other"}, 409),
        ("PATCH", "/agents/default", {"name": None}, 422),
        ("PATCH", "/agents/default", {"capabilities": None}, 422),
        ("PATCH", "/agents/nobody", {}, 404),
        ("DELETE", "/agents/default", None, 409),
        ("DELETE", "/agents/nobody", None, 404),
        ("POST", "/teams", {"name": "t", "members": ["defualt"]}, 422),
        ("POST", "/teams", {"name": "t", "environment_ids": ["nothing"]}, 422),
        ("POST", "/teams", {"name": ""}, 422),
        ("GET", "/teams/nobody", None, 404),
        ("PATCH", "/teams/nobody", {}, 404),
        ("DELETE", "/teams/nobody", None, 404),
        ("POST", "/skills", {"name": "shell", "type": "shell"}, 409),
        ("POST", "/skills", {"name": "s", "type": "teleport"}, 422),
        ("POST", "/skills", {"name": "s"}, 422),
        ("PATCH", "/skills/shell", {"name": "sh"}, 409),
        ("DELETE", "/skills/shell", None, 409),
        ("POST", "/environments", {"name": "default"}, 409),
        ("POST", "/environments", {"name": "../up"}, 422),
        ("DELETE", "/environments/default", None, 409),
        ("GET", "/environments/nobody", None, 404),
        ("GET", "/models/nothing", None, 404),
        ("GET", "/objects/short", None, 422),
    ],
)
async def test_what_cannot_be_is_refused(api: Api, method: str, path: str, body: Any, status: int) -> None:
    answer = await api.admin.request(method, f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_a_skill_lives_while_an_agent_has_it(api: Api) -> None:
    made = (await api.client.post("/api/v1/skills", json={"name": "careful", "skill_type": "shell"})).json()
    assert (made["type"], made["skill_type"], made["built_in"]) == ("shell", "shell", False)
    await api.client.post("/api/v1/agents", json={"name": "ops", "skill_ids": ["careful"]})
    refused = await api.client.delete("/api/v1/skills/careful")
    assert refused.status_code == 409
    assert "ops" in refused.json()["detail"]
    await api.client.patch("/api/v1/agents/ops", json={"skill_ids": []})
    changed = (await api.client.patch("/api/v1/skills/careful", json={"enabled": False})).json()
    assert changed["enabled"] is False
    assert (await api.client.delete("/api/v1/skills/careful")).status_code == 204


async def test_a_team_lives_and_keeps_its_members(api: Api) -> None:
    ops = (await api.client.post("/api/v1/agents", json={"name": "ops"})).json()["id"]
    made = (await api.client.post("/api/v1/teams", json={"name": "crew", "members": ["ops", "default", ops]})).json()
    assert made["members"][0] == ops
    assert len(made["members"]) == 2
    for ref in (made["id"], "crew"):
        assert (await api.client.get(f"/api/v1/teams/{ref}")).json() == made
    assert (await api.client.post("/api/v1/teams", json={"name": "crew"})).status_code == 409
    refused = await api.client.delete("/api/v1/agents/ops")
    assert (refused.status_code, refused.json()["detail"]) == (409, "agent 'ops' is a member of team crew")
    unknown = (await api.client.patch("/api/v1/teams/crew", json={"members": ["opps"]})).json()
    assert "Did you mean ops?" in unknown["fix"]
    changed = (await api.client.patch("/api/v1/teams/crew", json={"members": ["default"], "model_id": "m"})).json()
    assert (len(changed["members"]), changed["model_id"]) == (1, "m")
    assert (await api.client.delete("/api/v1/agents/ops")).status_code == 204
    assert (await api.read.get("/api/v1/teams")).json() == [changed]
    assert (await api.read.delete("/api/v1/teams/crew")).status_code == 403
    assert (await api.worker.get("/api/v1/teams")).status_code == 403
    assert (await api.client.delete("/api/v1/teams/crew")).status_code == 204


async def test_definitions_tell_the_tools(api: Api) -> None:
    found = (await api.client.get("/api/v1/skills/definitions")).json()
    assert {"shell", "file_system", "http", "mcp"} <= {definition["type"] for definition in found}
    assert all(definition["configuration_schema"] for definition in found)
    # What a server offers is only known where a run takes place.
    assert [definition["type"] for definition in found if not definition["tools"]] == ["mcp"]


async def test_an_environment_with_queues_stays(api: Api) -> None:
    assert (await api.client.post("/api/v1/environments", json={"name": "prod", "tags": ["a"]})).status_code == 201
    await api.client.post("/api/v1/environments/prod/worker-queues", json={"name": "q"})
    refused = await api.client.delete("/api/v1/environments/prod")
    assert refused.status_code == 409
    assert (await api.client.delete("/api/v1/worker-queues/q")).status_code == 204
    changed = await api.client.patch("/api/v1/environments/prod", json={"settings": {"a": 1}})
    assert changed.json()["settings"] == {"a": 1}
    assert (await api.client.delete("/api/v1/environments/prod")).status_code == 204


async def test_models_are_listed_and_found(api: Api) -> None:
    assert [model["id"] for model in (await api.client.get("/api/v1/models")).json()] == ["kubiya/offline", "m"]
    assert (await api.client.get("/api/v1/models/default")).json()["id"] == "kubiya/offline"
    assert (await api.client.get("/api/v1/models/lab/m")).json()["id"] == "m"
    providers = (await api.client.get("/api/v1/models/providers")).json()
    assert [(provider["id"], provider["model_count"]) for provider in providers] == [("kubiya", 1), ("lab", 1)]


async def test_objects_are_kept_by_their_content(api: Api) -> None:
    body = bytes(range(256)) * 10_000
    digest = hashlib.sha256(body).hexdigest()
    assert (await api.admin.get(f"/api/v1/objects/{digest}")).status_code == 404
    for _ in range(2):
        assert (await api.admin.put(f"/api/v1/objects/{digest}", content=body)).status_code == 204
    assert (await api.admin.get(f"/api/v1/objects/{digest}")).content == body
    assert await api.plane.objects.get(digest) == body
    assert await api.plane.objects.put(body) == digest
    wrong = await api.admin.put(f"/api/v1/objects/{'0' * 64}", content=body)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    assert (await api.admin.get(f"/api/v1/objects/{'0' * 64}")).status_code == 404


async def test_an_object_over_the_limit_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_OBJECT", 1000)

    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 100

    answer = await api.admin.put(f"/api/v1/objects/{'0' * 64}", content=chunks())
    assert answer.status_code == 413
    assert [path for path in api.plane.settings.paths.objects.rglob("*") if path.is_file()] == []
