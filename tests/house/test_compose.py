"""The compose file names our images, our variables and our ports, not what they were."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import kubiya_workers
from kubiya_workers.launchers.docker.spec import STOP_S
from kubiya_workers.settings import variables as v

FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
OURS = ("kubiya-worker", "control-plane")
PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.-]*")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())["services"]


def names_of(service: dict[str, Any]) -> set[str]:
    return {line.partition("=")[0] for line in service["environment"]}


def test_images_are_pinned_and_ours_are_this_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
        assert PINNED.fullmatch(image), f"{name}: {image}"
        assert name not in OURS or image.endswith(f":{kubiya_workers.__version__}")


def test_the_worker_alone_has_no_profile_and_the_manuals_variables(services: dict[str, Any]) -> None:
    alone = [name for name, service in services.items() if "profiles" not in service]
    assert alone == ["kubiya-worker"]
    worker = services["kubiya-worker"]
    manual = {"KUBIYA_API_KEY", "CONTROL_PLANE_URL", "QUEUE_ID", "LOG_LEVEL", "HEARTBEAT_INTERVAL"}
    assert names_of(worker) == manual
    assert worker["restart"] == "unless-stopped"
    assert worker["logging"] == {"driver": "json-file", "options": {"max-size": "100m", "max-file": "10"}}
    assert worker["stop_grace_period"] == f"{STOP_S}s"


def test_what_our_services_are_told_is_known_to_them(services: dict[str, Any]) -> None:
    known = {variable.name for variable in v.ALL}
    for name in OURS:
        assert names_of(services[name]) <= known
        assert services[name]["cap_drop"] == ["ALL"]


def test_only_the_proxy_is_reached_from_outside(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    caddy = (FILE.parent / "compose" / "Caddyfile").read_text()
    assert f"control-plane {v.SERVER_PORT.default}" in caddy
    assert services["control-plane"]["deploy"]["replicas"] == 2


def test_compose_takes_it() -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    environ = {"PATH": "/usr/bin:/bin", "KUBIYA_API_KEY": "k", "POSTGRES_PASSWORD": "p", "HOME": "/nonexistent"}
    command = ["docker-compose", "--file", str(FILE), "config", "--quiet"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
