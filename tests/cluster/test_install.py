"""`kubiya worker install` and what follows it, against an API that speaks the real protocol."""

import base64
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.machine import KUBIYA, Machine, until

from .api import KEDA, PROMETHEUS, kubeconfig
from .conftest import KEY, Cluster
from .nodes import Fate

NAME, NAMESPACE = "kubiya-worker-q", "kubiya"
DEPLOYMENT = ("deployments", NAMESPACE, NAME)


def install(machine: Machine, *words: str, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done = machine.run("worker", "install", "--queue", "q", *words, env=env)
    assert done.returncode == status, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    return done


def kinds(cluster: Cluster) -> set[str]:
    return {thing["kind"] for key, thing in cluster.api.objects.items() if key[1] == NAMESPACE} - {
        "Pod",
        "Event",
        "ReplicaSet",
    }


def deployment(cluster: Cluster) -> dict[str, Any]:
    return cluster.api.objects[DEPLOYMENT]


def pods(cluster: Cluster) -> list[str]:
    return [pod["metadata"]["name"] for pod in cluster.api.list("pods", NAMESPACE)]


def test_installed_looked_at_and_taken_out_again(machine: Machine, cluster: Cluster) -> None:
    done = install(machine, "--replicas", "2", LOG_LEVEL="DEBUG", HTTPS_PROXY="http://user:hidden@proxy:1")
    assert "2 of 2 pods ready" in done.stderr
    assert "hidden" not in done.stdout + done.stderr
    api = cluster.api
    secret = api.objects[("secrets", NAMESPACE, f"{NAME}-secrets")]["data"]
    assert {name: base64.b64decode(value).decode() for name, value in secret.items()} == {
        "api-key": KEY,
        "HTTPS_PROXY": "http://user:hidden@proxy:1",
    }
    assert api.objects[("configmaps", NAMESPACE, f"{NAME}-config")]["data"] == {"LOG_LEVEL": "DEBUG"}
    (entry,) = [e for e in deployment(cluster)["metadata"]["managedFields"] if e["operation"] == "Apply"]
    assert entry["manager"] == "kubiya"
    # The namespace that it made takes nothing but restricted pods.
    labels = api.objects[("namespaces", "", NAMESPACE)]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    seen = machine.run("worker", "status", "--queue", "q", "-o", "json")
    assert seen.returncode == 0, seen.stderr
    installed = json.loads(seen.stdout)["installed"]
    assert (installed["wanted"], installed["ready"], installed["settled"]) == (2, 2, True)
    assert [pod["name"] for pod in installed["pods"]] == pods(cluster)
    (listed,) = machine.json("worker", "list")  # type: ignore[misc]
    assert (listed["queue"], listed["type"], listed["state"]) == ("q", "kubernetes", "2/2 ready")
    logged = machine.run("worker", "logs", "--queue", "q")
    assert logged.stdout.count("Ready: polling") == 2

    again = install(machine, "--replicas", "2", LOG_LEVEL="DEBUG", HTTPS_PROXY="http://user:hidden@proxy:1")
    assert "Deployment kubiya-worker-q unchanged" in again.stderr

    for verb, fix in (("stop", "scale --replicas=0"), ("restart", "rollout restart")):
        refused = machine.run("worker", verb, "--queue", "q")
        assert (refused.returncode, fix in refused.stderr) == (4, True), refused.stderr
    gone = machine.run("worker", "uninstall", "--queue", "q")
    assert gone.returncode == 0, gone.stderr
    assert kinds(cluster) == set()
    assert pods(cluster) == []
    assert ("namespaces", "", NAMESPACE) in api.objects
    assert (
        machine.run("worker", "uninstall", "--queue", "q").stdout == "No workers of queue q are installed in kubiya.\n"
    )
    assert machine.run("worker", "status", "--queue", "q").returncode == 1


def test_a_dry_run_says_what_would_change_and_changes_nothing(machine: Machine, cluster: Cluster) -> None:
    done = install(machine, "--dry-run")
    assert "Deployment kubiya-worker-q: would be created" in done.stdout
    assert "not there yet" in done.stderr
    assert cluster.api.objects == {}
    install(machine, "--replicas", "1")
    before = dict(cluster.api.objects)
    done = install(machine, "--replicas", "2", "--dry-run", LOG_LEVEL="WARN")
    assert "Deployment kubiya-worker-q: would be configured: .spec.replicas, .spec.template" in done.stdout
    assert "ConfigMap kubiya-worker-q-config: would be configured: .data.LOG_LEVEL" in done.stdout
    assert "Secret kubiya-worker-q-secrets: unchanged" in done.stdout
    assert cluster.api.objects.keys() == before.keys()
    assert deployment(cluster)["spec"] == before[DEPLOYMENT]["spec"]
    gone = machine.run("worker", "uninstall", "--queue", "q", "--dry-run")
    assert "Deployment kubiya-worker-q would be deleted" in gone.stderr
    assert DEPLOYMENT in cluster.api.objects


def test_manifests_are_printed_without_a_cluster_and_without_a_secret(machine: Machine) -> None:
    for format_, read in (("yaml", yaml.safe_load_all), ("json", lambda text: json.loads(text)["items"])):
        words = ("--dry-run", "-o", format_, "--memory", "4Gi", "--tolerations", "gpu=yes:NoSchedule,spot")
        done = install(machine, *words, KUBECONFIG="/nonexistent")
        found = {thing["kind"]: thing for thing in read(done.stdout)}
        assert "Secret" not in found
        assert "kubectl create secret generic kubiya-worker-q-secrets" in done.stderr
        pod = found["Deployment"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["requests"] == {"cpu": "250m", "memory": "1Gi"}
        assert pod["tolerations"] == [
            {"operator": "Equal", "key": "gpu", "value": "yes", "effect": "NoSchedule"},
            {"operator": "Exists", "key": "spot"},
        ]


def test_pods_are_replaced_when_settings_or_the_key_change(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "1")
    first = pods(cluster)
    install(machine, "--replicas", "1", LOG_LEVEL="DEBUG")
    second = pods(cluster)
    install(machine, "--replicas", "1", LOG_LEVEL="DEBUG", KUBIYA_API_KEY="kbw_another")
    third = pods(cluster)
    assert len({*first, *second, *third}) == 3


def test_what_others_have_set_stays_theirs(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "1")

    def edit(thing: dict[str, Any]) -> None:
        (worker,) = thing["spec"]["template"]["spec"]["containers"]
        worker["env"].append({"name": "REGION", "value": "eu"})
        thing["metadata"]["annotations"]["team"] = "agents"

    cluster.api.change(DEPLOYMENT, "kubectl-edit", edit)
    install(machine, "--replicas", "2")
    (worker,) = deployment(cluster)["spec"]["template"]["spec"]["containers"]
    assert {"name": "REGION", "value": "eu"} in worker["env"]
    assert deployment(cluster)["metadata"]["annotations"]["team"] == "agents"

    def take_over(thing: dict[str, Any]) -> None:
        thing["spec"]["template"]["spec"]["containers"][0]["image"] = "mine:2"

    cluster.api.change(DEPLOYMENT, "kubectl-edit", take_over)
    objects = {key: thing["metadata"]["resourceVersion"] for key, thing in cluster.api.objects.items()}
    refused = install(machine, "--replicas", "3", status=4, LOG_LEVEL="DEBUG")
    assert '.containers[name="worker"].image' in refused.stderr
    assert "--force-conflicts" in refused.stderr
    # Nothing is half done: the configuration, which would have been taken, is as it was.
    config = ("configmaps", NAMESPACE, f"{NAME}-config")
    assert cluster.api.objects[config]["metadata"]["resourceVersion"] == objects[config]
    install(machine, "--replicas", "3", "--force-conflicts")
    (worker,) = deployment(cluster)["spec"]["template"]["spec"]["containers"]
    assert worker["image"].startswith("kubiya-workers:")
    assert {"name": "REGION", "value": "eu"} in worker["env"]


def test_the_number_of_pods_is_handed_over_and_taken_back(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "4")
    install(machine, "--autoscale", "cpu", "--min-replicas", "2", "--max-replicas", "5")
    # It was ours alone: without a handover it would have fallen to one.
    assert deployment(cluster)["spec"]["replicas"] == 4
    assert all(
        thing["spec"]["replicas"] >= 4 for _, plural, thing in cluster.api.history[5:] if plural == "deployments"
    )
    assert "HorizontalPodAutoscaler" in kinds(cluster)
    assert "cpu, 2 to 5" in machine.run("worker", "status", "--queue", "q").stdout

    def scale(thing: dict[str, Any]) -> None:
        thing["spec"]["replicas"] = 5

    cluster.api.change(DEPLOYMENT, "kube-controller-manager", scale)
    install(machine, "--autoscale", "cpu", "--max-replicas", "5")
    assert deployment(cluster)["spec"]["replicas"] == 5
    install(machine, "--replicas", "1")
    assert deployment(cluster)["spec"]["replicas"] == 1
    assert "HorizontalPodAutoscaler" not in kinds(cluster)


def test_extensions_are_asked_for_first_and_what_is_not_wanted_any_more_goes(
    machine: Machine, cluster: Cluster
) -> None:
    refused = install(machine, "--monitoring", status=4)
    assert "does not have the Prometheus operator" in refused.stderr
    assert cluster.api.objects == {}
    cluster.api.extensions = {**PROMETHEUS, **KEDA}
    (machine.work / "values.yaml").write_text(
        "autoscaling: {by: backlog, minReplicas: 0, temporal: {address: 'temporal:7233', taskQueue: the-id}}\n"
    )
    install(machine, "--monitoring", "--values", "values.yaml")
    assert {"Service", "ServiceMonitor", "ScaledObject"} <= kinds(cluster)
    (scaled,) = cluster.api.list("scaledobjects")
    assert scaled["spec"]["triggers"][0]["metadata"]["taskQueue"] == "the-id"

    # What KEDA makes of it has our labels, too: it is KEDA's, and goes with what it was made of.
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": NAME, "uid": scaled["metadata"]["uid"]}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": 1,
        "maxReplicas": 9,
    }
    metadata = {"name": f"keda-hpa-{NAME}", "labels": scaled["metadata"]["labels"], "ownerReferences": [owner]}
    made = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
    cluster.api.create("horizontalpodautoscalers", NAMESPACE, made, "keda-operator")
    install(machine, "--values", "values.yaml")
    assert "HorizontalPodAutoscaler" in kinds(cluster)
    assert not {"Service", "ServiceMonitor"} & kinds(cluster)
    install(machine, "--replicas", "1")
    assert not {"ScaledObject", "HorizontalPodAutoscaler"} & kinds(cluster)


@pytest.mark.parametrize(
    ("fate", "words", "said"),
    [
        (Fate.CRASHES, (), ["it crashes again and again: it ended with status 3", "the key is not known"]),
        (Fate.NO_IMAGE, (), ["ErrImageNeverPull", "load the image into the cluster's nodes"]),
        (Fate.NO_IMAGE, ("--image", "r/w:1", "--timeout", "1"), ["ImagePullBackOff: Back-off pulling", "within 1 s"]),
        (Fate.QUOTA, ("--timeout", "1"), ["exceeded quota: small"]),
        (Fate.NOT_READY, ("--timeout", "1"), ["Unhealthy: Readiness probe failed"]),
    ],
)
def test_it_says_why_pods_are_not_ready(
    machine: Machine, cluster: Cluster, fate: Fate, words: tuple[str, ...], said: list[str]
) -> None:
    cluster.nodes.fate = fate
    done = install(machine, *words, status=1)
    for text in said:
        assert text in done.stderr
    seen = machine.run("worker", "status", "--queue", "q")
    assert seen.returncode == 1
    assert said[0] in seen.stdout
    # What is mended is installed again: the pods from before are no reason to give up.
    cluster.nodes.fate = Fate.READY
    install(machine, "--image", "registry.example.com/mended:1", "--replicas", "1")


def test_what_the_cluster_refuses_is_said_before_anything_is_changed(machine: Machine, cluster: Cluster) -> None:
    cluster.api.objects[("namespaces", "", NAMESPACE)] = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "resourceVersion": "1"},
    }
    cluster.api.forbidden = {("patch", "networkpolicies"), ("get", "namespaces")}
    refused = install(machine, status=3)
    assert 'cannot patch resource "networkpolicies"' in refused.stderr
    assert kinds(cluster) == set()
    assert not (machine.home / ".kubiya" / "run" / "q" / "installation.json").exists()
    # Who may not look at namespaces, or at warnings, may still install.
    cluster.api.forbidden = {("get", "namespaces"), ("list", "events"), ("list", "scaledobjects")}
    install(machine, "--replicas", "1")

    foreign = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"}}
    spec = {**deployment(cluster)["spec"], "replicas": 0}
    cluster.api.create("deployments", NAMESPACE, {**foreign, "spec": spec}, "helm")
    refused = install(machine, "--name", "other", status=4)
    assert "was not installed by kubiya" in refused.stderr
    other = machine.run("worker", "install", "--queue", "p", "--name", NAME)
    assert (other.returncode, f"{NAME} in kubiya serves queue q" in other.stderr) == (4, True)


def test_flags_that_contradict_each_other_and_what_is_missing(machine: Machine) -> None:
    for words, status, said, env in (
        (("--autoscale", "cpu", "--replicas", "2"), 2, "--min-replicas is the least", {}),
        (("--min-replicas", "2"), 2, "for --autoscale", {}),
        (("--tolerations", "a=b:Never"), 2, "NoSchedule", {}),
        (("--cpu", "lots"), 6, "resources.limits.cpu must be CPUs", {}),
        ((), 6, "--control-plane-url", {"CONTROL_PLANE_URL": "http://127.0.0.1:7466"}),
        ((), 3, "--secret NAME", {"KUBIYA_API_KEY": ""}),
        ((), 5, "no cluster is configured", {"KUBECONFIG": "/nonexistent"}),
        (("--context", "there"), 5, "there", {}),
    ):
        assert said in install(machine, *words, status=status, **env).stderr, words


def test_clusters_are_reached_as_kubectl_reaches_them(machine: Machine, cluster: Cluster, tmp_path: Path) -> None:
    cluster.api.token = "of-the-plugin"
    assert "does not know who asks" in install(machine, status=3).stderr
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        '"status": {"token": "of-the-plugin"}}\'\n'
    )
    plugin.chmod(0o755)
    asked = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    file = tmp_path / "with-plugin"
    file.write_text(kubeconfig(cluster.address, user={"exec": asked}))
    install(machine, "--replicas", "1", "--kubeconfig", str(file))
    # It is remembered which cluster that was: another KUBECONFIG does not lead a later command astray.
    seen = machine.run("worker", "status", "--queue", "q", env={"KUBECONFIG": "/nonexistent"})
    assert "1 of 1 ready" in seen.stdout
    plugin.write_text("#!/bin/sh\necho sign in first >&2\nexit 1\n")
    assert "sign in first" in install(machine, status=3).stderr


def test_installations_of_others_are_found_where_the_place_is_said(
    machine: Machine, cluster: Cluster, tmp_path: Path
) -> None:
    install(machine, "--replicas", "1")
    stranger = Machine(tmp_path / "stranger", dict(machine.environ) | {"HOME": str(tmp_path / "stranger" / "home")})
    assert stranger.json("worker", "list") == []
    (listed,) = stranger.json("worker", "list", "--namespace", NAMESPACE)  # type: ignore[misc]
    assert (listed["queue"], listed["hostname"]) == ("q", f"{NAMESPACE}/{NAME}")
    seen = stranger.run("worker", "status", "--queue", "q", "--namespace", NAMESPACE)
    assert (seen.returncode, "1 of 1 ready" in seen.stdout) == (0, True)
    assert "Ready: polling" in stranger.run("worker", "logs", "--queue", "q", "-n", NAMESPACE).stdout
    assert stranger.run("worker", "uninstall", "--queue", "q", "-n", NAMESPACE).returncode == 0
    assert kinds(cluster) == set()
    assert f"there is no {NAME}" in machine.run("worker", "status", "--queue", "q").stdout


def test_logs_are_followed_across_pods_and_restarts(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "1")
    (first,) = pods(cluster)
    out = machine.root / "followed"
    with out.open("w") as file:
        following = subprocess.Popen(
            [KUBIYA, "worker", "logs", "--queue", "q", "--follow", "--level", "INFO"],
            env=machine.environ,
            cwd=machine.work,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "Ready: polling" in out.read_text(), "the log is read")
        for number in range(30):
            cluster.nodes.say(first, f"[INFO] line {number:02d}")
        cluster.nodes.say(first, "[DEBUG] not asked for")
        install(machine, "--replicas", "2")
        (second,) = set(pods(cluster)) - {first}
        until(lambda: f"[{'-'.join(second.split('-')[-2:])}]" in out.read_text(), "another pod is read from its begin")
        cluster.nodes.say(second, "[INFO] of the second")
        until(lambda: "of the second" in out.read_text(), "it is followed, too")
        said = out.read_text()
        assert [said.count(f"line {number:02d}") for number in range(30)] == [1] * 30
        assert said.count("Ready: polling") == 2
        assert "not asked for" not in said
    finally:
        following.terminate()
        following.wait(10)


def test_uninstalling_waits_for_the_drain_and_says_what_is_left(machine: Machine, cluster: Cluster) -> None:
    install(machine, "--replicas", "1")
    cluster.nodes.draining = True
    began = time.monotonic()
    done = machine.run("worker", "uninstall", "--queue", "q", "--timeout", "1")
    assert done.returncode == 0
    assert "1 pod drains" in done.stderr
    assert "still draining" in done.stderr
    assert time.monotonic() - began >= 1


def test_a_wait_that_is_interrupted_ends_at_once_and_is_taken_up_again(machine: Machine, cluster: Cluster) -> None:
    cluster.nodes.fate = Fate.NOT_READY
    command = [KUBIYA, "worker", "install", "--queue", "q", "--replicas", "1"]
    waiting = subprocess.Popen(command, env=machine.environ, cwd=machine.work, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    try:
        assert any("Readiness probe failed" in line for line in waiting.stderr)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(10) == 130
    finally:
        waiting.kill()
        waiting.stderr.close()
        waiting.wait()
    assert machine.run("worker", "status", "--queue", "q").returncode == 1
    cluster.nodes.fate = Fate.READY
    install(machine, "--replicas", "2", "--no-wait")
    machine.run("worker", "uninstall", "--queue", "q")
    assert pods(cluster) == []
