"""Executions that have no worker get one in the cluster: a Job, and nothing is left of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubiya_workers.testing import Reply, ScriptedModel, tool
from tests.e2e.installation import Installation, kill
from tests.e2e.machine import Machine, until

from .conftest import Cluster
from .nodes import Fate

PUBLIC = "https://control-plane.example.com"
"""Where pods reach the control plane: nodes of the tests are on its machine, and know better."""


@pytest.fixture
def installation(machine: Machine, cluster: Cluster) -> Iterator[Installation]:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubiya", "resourceVersion": "1"}}
    cluster.api.objects[("namespaces", "", "kubiya")] = namespace
    script = {"go": [tool("shell", {"command": "echo of the pod"}), Reply("said in a pod", delay_s=3)]}
    model = ScriptedModel(script)
    model.start()
    installed = Installation(machine, {"KUBIYA_PROVISIONER": "kubernetes", "KUBIYA_PUBLIC_URL": PUBLIC})

    def program(env: dict[str, str]) -> subprocess.Popen[bytes]:
        assert env["CONTROL_PLANE_URL"] == PUBLIC
        assert "KUBIYA_HEALTH_ADDR" not in env
        here = {**machine.environ, **env, "CONTROL_PLANE_URL": installed.url}
        command = [sys.executable, "-m", "kubiya_workers.worker", "--queue-id", env["QUEUE_ID"]]
        with (machine.root / "pod.log").open("ab") as log:
            return subprocess.Popen(command, env=here, cwd=machine.work, stdout=log, stderr=log)

    cluster.nodes.fate, cluster.nodes.program = Fate.RUNS, program
    try:
        installed.serve(model.url)
        yield installed
    finally:
        installed.close()
        model.stop()


def here(installation: Installation) -> dict[str, str]:
    return {"CONTROL_PLANE_URL": installation.url, "KUBIYA_API_KEY": installation.key}


def left(cluster: Cluster) -> set[str]:
    return {key[0] for key in cluster.api.objects} - {"namespaces", "events"}


def test_a_job_runs_it_while_the_control_plane_is_killed_and_goes_with_it(
    installation: Installation, cluster: Cluster, tmp_path: Path
) -> None:
    access = here(installation)
    with installation.machine.spawn("exec", "--yes", "go", env=access) as run:
        run.until_said("✓ shell", 60)
        (job,) = cluster.api.list("jobs", "kubiya")
        assert access["KUBIYA_API_KEY"] not in str(cluster.api.objects), "its key is its own"
        assert installation.server is not None
        kill(installation.server)
        installation.start_server()
        assert run.process.wait(60) == 0, run.said()
    assert run.out.read_text() == "said in a pod\n"
    assert [one["metadata"]["uid"] for one in cluster.api.list("jobs")] in ([], [job["metadata"]["uid"]])
    until(lambda: not left(cluster), f"all of it is gone: {left(cluster)}", 30)


def test_what_cannot_be_started_is_said(installation: Installation, cluster: Cluster) -> None:
    cluster.api.forbidden = {("create", "jobs")}
    done = installation.machine.run("exec", "--yes", "go", env=here(installation))
    assert done.returncode == 1
    assert "cannot create resource" in done.stderr
    until(lambda: not left(cluster), "nothing is left", 30)
