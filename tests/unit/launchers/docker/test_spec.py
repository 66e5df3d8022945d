"""What a container is to run, and what that means for Docker."""

from dataclasses import replace
from pathlib import Path

import pytest

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.pool import Mode
from kubiya_workers.launchers.docker import spec as specs
from kubiya_workers.launchers.docker.spec import ContainerWorker
from kubiya_workers.launchers.upkeep.rotation import LogLimits
from kubiya_workers.settings.source import BadSetting

KEY = "kbw_very-secret"
HERE = ContainerWorker(queue="q", url="http://127.0.0.1:7466", key=KEY, name="kubiya-worker-q")
AWAY = replace(HERE, url="https://control-plane.example.com")


def test_the_key_is_in_the_file_alone() -> None:
    spec = replace(HERE, env={"LOG_LEVEL": "DEBUG", "LITELLM_API_KEY": "sk-other"})
    shown = repr(spec) + repr(specs.container(spec)) + repr(specs.host_part(spec))
    assert KEY not in shown and "sk-other" not in shown
    assert specs.settings_file(spec).splitlines() == [
        "CONTROL_PLANE_URL=http://127.0.0.1:7466",
        f"KUBIYA_API_KEY={KEY}",
        "LITELLM_API_KEY=sk-other",
        "LOG_LEVEL=DEBUG",
    ]


def test_authorities_of_ones_own_go_with_it(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"-----BEGIN")
    spec = replace(AWAY, authorities=bundle)
    assert specs.files(spec)[specs.AUTHORITIES] == b"-----BEGIN"
    assert specs.container(spec)["environment"]["SSL_CERT_FILE"] == specs.AUTHORITIES
    assert list(specs.files(AWAY)) == [specs.SETTINGS]
    with pytest.raises(BadSetting, match="authorities"):
        specs.files(replace(AWAY, authorities=tmp_path / "none"))


def test_a_value_of_several_lines_would_be_another_setting() -> None:
    with pytest.raises(Invalid, match="HTTP_PROXY has several lines"):
        specs.settings_file(replace(HERE, env={"HTTP_PROXY": "http://proxy\nSINGLE_EXECUTION=true"}))


def test_only_a_workers_own_settings_go_into_it() -> None:
    environ = {"LOG_LEVEL": "DEBUG", "https_proxy": "http://proxy:3128", "MAX_CONCURRENT_ACTIVITIES": " "}
    others = {"AWS_SECRET_ACCESS_KEY": "s", "DATABASE_URL": "d", "KUBIYA_HOME": "/h", "KUBIYA_READY_FD": "3"}
    assert specs.settings_of({**environ, **others}) == {"LOG_LEVEL": "DEBUG", "https_proxy": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://127.0.0.1:7466", "host"),
        ("http://localhost:7466", "host"),
        ("http://[::1]:7466", "host"),
        ("http://10.0.0.5:7466", None),
        ("https://control-plane.example.com", None),
    ],
)
def test_this_machines_loopback_is_reached_on_its_own_network(url: str, network: str | None) -> None:
    assert specs.host_part(replace(HERE, url=url))["network_mode"] == network


def test_a_daemon_elsewhere_cannot_serve_a_control_plane_of_this_machine() -> None:
    for daemon in ("tcp://10.0.0.5:2376", "ssh://user@host"):
        with pytest.raises(Invalid, match="another machine's"):
            specs.check_place(HERE, daemon)
        specs.check_place(AWAY, daemon)
    for daemon in ("", "unix:///var/run/docker.sock"):
        specs.check_place(HERE, daemon)


def test_limits_are_the_containers() -> None:
    limited = replace(AWAY, memory=2 * 2**30, cpus=1.5, limits=LogLimits(4096, 0), volumes=("/a:/b:ro",))
    part = specs.host_part(limited)
    assert (part["mem_limit"], part["memswap_limit"], part["nano_cpus"]) == (2 * 2**30, 2 * 2**30, 1_500_000_000)
    assert part["log_config"]["Config"] == {"max-size": "4096", "max-file": "1"}
    assert part["binds"] == ["/a:/b:ro"]
    unlimited = specs.host_part(AWAY)
    assert (unlimited["mem_limit"], unlimited["memswap_limit"], unlimited["nano_cpus"]) == (None, None, None)


@pytest.mark.parametrize(
    ("mode", "env", "policy"),
    [
        (Mode.DAEMON, {}, {"Name": "unless-stopped"}),
        (Mode.DAEMON, {"KUBIYA_IDLE_TIMEOUT": "600"}, {"Name": "on-failure"}),
        (Mode.DAEMON, {"KUBIYA_MAX_TASKS": "5"}, {"Name": "on-failure"}),
        (Mode.DAEMON, {"SINGLE_EXECUTION": "true"}, None),
        (Mode.FOREGROUND, {}, None),
    ],
)
def test_who_starts_it_again(mode: Mode, env: dict[str, str], policy: dict[str, str] | None) -> None:
    assert specs.restart_policy(replace(HERE, mode=mode, env=env)) == policy
