"""A Job for one execution, as a provisioner uses it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.contracts.errors import Conflict, Forbidden, Invalid, NotFound
from kubiya_workers.launchers.kubernetes import single
from tests.e2e.machine import until

from .api import kubeconfig
from .conftest import Cluster
from .nodes import Fate


def a_worker(**changes: Any) -> single.JobWorker:
    usual: dict[str, Any] = {"queue": "q", "url": "https://control-plane.example.com", "key": "kbw_of-one"}
    env = {"LOG_LEVEL": "DEBUG", "QUEUE_ID": "another"}
    return single.JobWorker(**{**usual, "name": "once-1", "env": env, **changes})


@pytest.fixture(autouse=True)
def at_hand(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(cluster.address))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubiya", "resourceVersion": "1"}}
    cluster.api.objects[("namespaces", "", "kubiya")] = namespace


def over(name: str) -> Callable[[], bool]:
    return lambda: single.ended(name) is not None


@pytest.mark.parametrize(
    ("fate", "ending"),
    [
        (Fate.ENDS_WELL, single.Over(0, "")),
        (Fate.ENDS_BADLY, single.Over(1, "the run failed: model_error")),
        (Fate.NO_IMAGE, single.Over(None, "ErrImageNeverPull: Container image")),
    ],
)
def test_it_runs_one_and_tells_how_that_ended(cluster: Cluster, fate: Fate, ending: single.Over) -> None:
    cluster.nodes.fate = fate
    said: list[str] = []
    single.start(a_worker(), "provisioner-1", said.append)
    assert said == ["Starting the Job once-1 in kubiya"]
    until(over("once-1"), "it ends")
    found = single.ended("once-1")
    assert found is not None
    assert (found.status, found.words[: len(ending.words)]) == (ending.status, ending.words)
    assert single.remove("once-1")
    assert not single.remove("once-1")
    with pytest.raises(NotFound, match="no Job once-1"):
        single.ended("once-1")


def test_while_it_runs_it_has_no_status_and_its_owner_finds_it(cluster: Cluster) -> None:
    single.start(a_worker(), "provisioner-1", print)
    until(lambda: bool(cluster.api.list("pods", "kubiya")), "its pod is there")
    assert single.ended("once-1") is None
    assert single.left_by("provisioner-1") == ["once-1"]
    assert single.left_by("provisioner-2") == []
    with pytest.raises(Conflict, match="already exists"):
        single.start(a_worker(), "provisioner-2", print)
    assert single.left_by("provisioner-1") == ["once-1"]


def test_an_owner_may_have_any_name(cluster: Cluster) -> None:
    owner = "http://control-plane:7466/?of=" + "x" * 100
    single.start(a_worker(), owner, print)
    assert single.left_by(owner) == ["once-1"]


def test_nothing_of_it_stays(cluster: Cluster) -> None:
    single.start(a_worker(), "provisioner", print)
    (secret,) = cluster.api.list("secrets", "kubiya")
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "Job"
    made = cluster.api.objects[("jobs", "kubiya", "once-1")]["spec"]
    assert (made["backoffLimit"], made["activeDeadlineSeconds"], made["ttlSecondsAfterFinished"]) == (0, 86_400, 3_600)
    assert "kbw_of-one" not in str(made)
    single.remove("once-1")
    until(lambda: {key[0] for key in cluster.api.objects} <= {"namespaces", "events"}, "all of it is gone")


def test_one_may_follow_another_of_its_name_at_once(cluster: Cluster) -> None:
    """What a Job owned goes a little later than the Job."""
    single.start(a_worker(), "provisioner", print)
    (secret,) = cluster.api.list("secrets", "kubiya")
    single.remove("once-1")
    key = ("secrets", "kubiya", secret["metadata"]["name"])
    cluster.api.objects[key] = secret
    single.start(a_worker(), "provisioner", print)
    assert len(cluster.api.list("secrets", "kubiya")) == 2


def test_one_that_is_to_be_looked_at_is_not_removed_by_the_cluster(cluster: Cluster) -> None:
    single.start(a_worker(kept_s=None), "provisioner", print)
    assert "ttlSecondsAfterFinished" not in cluster.api.objects[("jobs", "kubiya", "once-1")]["spec"]


def test_a_secret_that_cannot_be_made_leaves_no_job(cluster: Cluster) -> None:
    cluster.api.forbidden = {("create", "secrets")}
    with pytest.raises(Forbidden, match="cannot create"):
        single.start(a_worker(), "provisioner", print)
    assert single.left_by("provisioner") == []


def test_a_control_plane_that_no_pod_reaches_is_refused(cluster: Cluster) -> None:
    local = a_worker(url="http://localhost:7466")
    with pytest.raises(Invalid, match="by no pod"):
        single.start(local, "provisioner", print)
    assert cluster.api.asked == []


def test_a_job_whose_pod_is_gone_has_failed_all_the_same(cluster: Cluster) -> None:
    cluster.nodes.fate = Fate.ENDS_BADLY
    single.start(a_worker(), "provisioner", print)
    until(over("once-1"), "it ends")
    for pod in cluster.api.list("pods", "kubiya"):
        del cluster.api.objects[("pods", "kubiya", pod["metadata"]["name"])]
    assert single.ended("once-1") == single.Over(None, "BackoffLimitExceeded")
