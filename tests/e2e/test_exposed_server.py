"""What a person is told who lets other machines reach the control plane."""

import pytest

from .machine import Machine


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_listening_beyond_this_machine_without_tls_is_told(machine: Machine, host: str, warned: bool) -> None:
    started = machine.run("server", "start", f"--host={host}")
    assert started.returncode == 0, started.stderr
    assert ("without TLS" in started.stderr) is warned
    again = machine.run("server", "start", f"--host={host}")
    assert "without TLS" not in again.stderr, "it was running: nothing new listens"
    assert machine.run("server", "stop").returncode == 0


def test_the_variable_is_told_of_like_the_flag(machine: Machine) -> None:
    started = machine.run("server", "start", env={"KUBIYA_SERVER_HOST": "0.0.0.0"})
    assert "without TLS" in started.stderr
    assert machine.run("server", "stop").returncode == 0
