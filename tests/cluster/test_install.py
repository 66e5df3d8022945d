"""`kubiya worker install` and what follows it, against an API that speaks the real protocol."""

from tests.e2e.machine import Machine

from .conftest import KEY, Cluster


def test_install(machine: Machine, cluster: Cluster) -> None:
    done = machine.run("worker", "install", "--queue", "q", "--replicas", "2")
    assert done.returncode == 0, done.stderr
    print(done.stderr, done.stdout)
    assert KEY not in done.stdout + done.stderr
    print(machine.run("worker", "status", "--queue", "q").stdout)
    print(machine.run("worker", "logs", "--queue", "q").stdout)
    print(machine.run("worker", "list").stdout)
    print(machine.run("worker", "install", "--queue", "q", "--replicas", "2", "--dry-run").stdout)
    print(machine.run("worker", "install", "--queue", "q", "--dry-run", "--monitoring"))
    print(machine.run("worker", "uninstall", "--queue", "q"))
    assert 0
