"""A control plane that serves https: for others by its certificate, and for its own machine as before."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.authority import Authority

from .installation import ports_of_its_own
from .machine import KUBIYA, Machine, until

START = ("worker", "start", "--queue-id=q", "--type=local")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Machine]:
    """A machine whose server listens for other hosts, too."""
    certificate, key = authority.issue("localhost", "127.0.0.1")
    machine = Machine(tmp_path_factory.mktemp("secure"))
    words = ("--host=0.0.0.0", f"--tls-cert={certificate}", f"--tls-key={key}")
    try:
        started = machine.run("server", "start", *words, env=ports_of_its_own())
        assert started.returncode == 0, started.stderr
        assert "without TLS" not in started.stderr
        assert "runs at https://localhost:" in started.stdout
        yield machine
        assert machine.run("server", "stop").returncode == 0
        machine.assert_nothing_left()
    finally:
        machine.kill_everything()


@pytest.fixture(scope="module")
def abroad(secure: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Somebody else, who knows the address and a key."""
    status = json.loads(secure.run("server", "status", "-o", "json").stdout)
    made = json.loads(secure.run("key", "create", "abroad", "-o", "json").stdout)
    known = {"CONTROL_PLANE_URL": status["tls_url"], "KUBIYA_API_KEY": made["key"]}
    return Machine(
        tmp_path_factory.mktemp("abroad"), {**known, "SSL_CERT_FILE": "", "SSL_CERT_DIR": "", "REQUESTS_CA_BUNDLE": ""}
    )


def test_this_machines_own_commands_need_no_certificate(secure: Machine) -> None:
    shown = secure.run("server", "status").stdout
    assert "https://localhost:" in shown
    assert "http://127.0.0.1:" in shown
    assert secure.run("agent", "list").returncode == 0
    checks = json.loads(secure.run("doctor", "-o", "json").stdout)
    assert any(check["name"] == "control plane: tls" and check["result"] == "ok" for check in checks)


def test_a_worker_that_knows_the_authority_serves(secure: Machine, abroad: Machine, authority: Authority) -> None:
    with abroad.spawn(*START, env={"SSL_CERT_FILE": str(authority.bundle)}) as worker:
        worker.until_said("] Ready", 60)
        done = secure.run("exec", "--queue=q", "--yes", "Run `echo $SSL_CERT_FILE`")
        assert done.returncode == 0, done.stderr
        assert str(authority.bundle) in done.stdout + done.stderr, "its tools trust whom it trusts"


@pytest.mark.parametrize("words", [START, (*START, "-d"), ("agent", "list")])
def test_one_that_does_not_says_so_at_once(abroad: Machine, words: tuple[str, ...]) -> None:
    refused = abroad.run(*words)
    assert refused.returncode == 5, refused.stderr
    assert "https://localhost:" in refused.stderr
    assert "an authority that is not trusted here" in refused.stderr
    assert "SSL_CERT_FILE" in refused.stderr
    abroad.assert_nothing_left()


def test_authorities_that_are_not_there_are_a_wrong_setting(abroad: Machine) -> None:
    refused = abroad.run(*START, env={"SSL_CERT_FILE": "/nowhere.pem"})
    assert refused.returncode == 6, refused.stderr
    assert "SSL_CERT_FILE='/nowhere.pem'" in refused.stderr
    checked = abroad.run("doctor", "-o", "json", env={"SSL_CERT_FILE": "/nowhere.pem"})
    assert checked.returncode == 1
    failed = [check["name"] for check in json.loads(checked.stdout) if check["result"] == "fail"]
    assert failed == ["certificate authorities"]


def test_flags_that_come_too_late_are_told_of(secure: Machine) -> None:
    again = secure.run("server", "start", "--port=7999")
    assert again.returncode == 0
    assert "--port 7999 had no effect" in again.stderr


def test_a_renewed_certificate_is_served_without_a_restart(secure: Machine, authority: Authority) -> None:
    url = json.loads(secure.run("server", "status", "-o", "json").stdout)["tls_url"]
    trusting = ssl.create_default_context(cafile=authority.bundle)
    authority.issue("localhost", "127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=40))
    soon = (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m-%d")

    def told() -> bool:
        checks = httpx.get(f"{url}/health", verify=trusting).json()["checks"]
        return soon in checks["tls"]["detail"]

    until(told, "the new certificate is served")


def test_one_in_the_foreground_of_a_script_is_found_and_stopped(machine: Machine, authority: Authority) -> None:
    certificate, key = authority.issue("localhost", file="script")
    environ = {"KUBIYA_TLS_CERT": str(certificate), "KUBIYA_TLS_KEY": str(key), **ports_of_its_own()}
    command = [KUBIYA, "server", "start", "--foreground"]
    # As from a script, or below the first process of a container: it leads no group of its own.
    with (machine.root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env={**machine.environ, **environ}, stdout=log, stderr=log)
    until(lambda: machine.run("server", "status").returncode == 0, "it says that it runs")
    asked = [sys.executable, "-m", "kubiya_workers.launchers.docker.healthcheck", "control-plane"]
    healthy = subprocess.run(asked, env=machine.environ, capture_output=True, text=True, check=False)
    assert healthy.returncode == 0, healthy.stdout
    assert "Stopped" in machine.run("server", "stop").stderr
    assert process.wait(10) == 0
    machine.assert_nothing_left()


def test_a_certificate_that_clients_would_refuse_starts_nothing(machine: Machine, authority: Authority) -> None:
    ended = datetime.now(UTC) - timedelta(days=1)
    certificate, key = authority.issue("localhost", file="ended", not_before=ended - timedelta(9), not_after=ended)
    for words, said in (
        ((f"--tls-cert={certificate}", f"--tls-key={key}"), "certificate has expired"),
        ((f"--tls-cert={certificate}",), "go together"),
        ((f"--tls-cert={certificate}", "--tls-key=/nowhere.pem"), "/nowhere.pem cannot be read"),
    ):
        refused = machine.run("server", "start", *words)
        assert refused.returncode == 6, refused.stderr
        assert said in refused.stderr
    machine.assert_nothing_left()
