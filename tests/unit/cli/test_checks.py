"""Each check of the doctor: what it saw, and what to do."""

import json
import socket
from pathlib import Path

import pytest

from kubiya_workers.console import machine as checks
from kubiya_workers.contracts.console import FindingResult as Result

from .conftest import Kubiya
from .fake_api import FakeApi

MODEL = {"id": "m", "value": "kubiya/offline", "label": "Offline", "provider": "kubiya"}


def test_an_old_python_fails() -> None:
    assert checks.python((3, 11, 0)).result is Result.OK
    assert checks.python((3, 10, 9)).result is Result.FAIL


def test_a_home_is_a_directory_that_can_be_made(tmp_path: Path) -> None:
    assert checks.home(tmp_path).result is Result.OK
    assert "made on first use" in checks.home(tmp_path / "new" / "home").evidence
    (tmp_path / "file").write_text("")
    found = checks.home(tmp_path / "file" / "home")
    assert found.result is Result.FAIL and found.remedy is not None


def test_missing_packages_are_named() -> None:
    assert checks.packages(lambda _: object()).result is Result.OK
    found = checks.packages(lambda name: None if name == "fastapi" else object())
    assert found.result is Result.FAIL and found.evidence == "missing: fastapi"


def test_a_taken_port_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert checks.port("x", "127.0.0.1", number).result is Result.WARN


def test_a_healthy_control_plane(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    health = {"status": "healthy", "version": "1", "checks": {"database": {"ok": True, "detail": "sqlite"}}}
    api.answers = {
        "GET /health": (200, health),
        "GET /livez": (200, {}),
        "GET /api/v1/agents": (200, []),
        "GET /api/v1/models": (200, [MODEL]),
        "GET /api/v1/models/default": (200, MODEL),
    }
    assert kubiya("doctor", "-o", "json") == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["key"]["result"] == found["clock"]["result"] == "ok"
    assert found["model"]["result"] == "warn" and "KUBIYA_LLM_BASE_URL" in found["model"]["remedy"]


def test_an_unhealthy_one_and_a_bad_key_fail(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    health = {"status": "unhealthy", "version": "1", "checks": {"temporal": {"ok": False, "detail": "gone"}}}
    api.answers = {"GET /health": (503, health), "GET /api/v1/agents": (401, {"detail": "unknown key"})}
    assert kubiya("doctor") == 1
    text = capsys.readouterr().out
    assert "✗ control plane: temporal" in text and "gone" in text and "✗ key" in text


def test_an_unreachable_one_fails(api: FakeApi, kubiya: Kubiya, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", "http://127.0.0.1:1")
    assert kubiya("doctor") == 1
