"""kubectl, as it is installed, on our manifests and beside our installations: also the proof that our API is one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.test_install import NAME, NAMESPACE, deployment, install, pods
from tests.e2e.machine import Machine, until

from .api import PROMETHEUS

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
VARIANTS = ("basic", "autoscaling", "monitoring")
KUBECTL = shutil.which("kubectl")

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


def kubectl(machine: Machine, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        [str(KUBECTL), *words],
        env=machine.environ,
        cwd=machine.work,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_files_are_applied(machine: Machine, cluster: Cluster, variant: str) -> None:
    cluster.api.extensions = PROMETHEUS
    file = str(DEPLOY / f"{variant}.yaml")
    said = kubectl(machine, "apply", "--dry-run=client", "--validate=false", "-f", file)
    assert "deployment.apps/kubiya-worker created (dry run)" in said
    assert cluster.api.objects == {}
    applied = kubectl(machine, "apply", "--server-side", "--validate=false", "-f", file)
    assert applied.count("serverside-applied") == said.count("created")
    key = ("deployments", NAMESPACE, "kubiya-worker")
    until(
        lambda: cluster.api.objects[key].get("status", {}).get("readyReplicas") == 3 - (variant == "autoscaling"), "up"
    )


def test_what_is_printed_is_applied_and_then_taken_over(machine: Machine, cluster: Cluster) -> None:
    printed = machine.run("worker", "install", "--queue", "q", "--replicas", "1", "--dry-run", "-o", "yaml").stdout
    kubectl(machine, "apply", "--server-side", "--validate=false", "-f", "-", stdin=printed)
    install(machine, "--replicas", "1")
    owners = {entry["manager"] for entry in deployment(cluster)["metadata"]["managedFields"]}
    assert owners == {"kubectl", "kubiya"}


def test_they_look_at_the_same_and_scale_the_same(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "1")
    listed = json.loads(kubectl(machine, "get", "deployments", "-n", NAMESPACE, "-o", "json"))
    assert [item["metadata"]["name"] for item in listed["items"]] == [NAME]
    kubectl(machine, "scale", f"deployment/{NAME}", "-n", NAMESPACE, "--replicas=3")
    kubectl(machine, "rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=30s")
    until(lambda: "3 of 3 ready" in machine.run("worker", "status", "--queue", "q").stdout, "three are seen")
    assert "Ready: polling" in kubectl(machine, "logs", "-n", NAMESPACE, pods(cluster)[0])
    install(machine, "--replicas", "2")
    assert deployment(cluster)["spec"]["replicas"] == 2
