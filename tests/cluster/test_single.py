"""A Job for one execution, as a provisioner uses it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kubiya_workers.contracts.errors import Conflict, Forbidden, Invalid, NotFound
from kubiya_workers.launchers.kubernetes import single
from tests.e2e.machine import until

from .api import kubeconfig
from .conftest import Cluster
from .nodes import Fate

WORKER = single.JobWorker(
    queue="q",
    url="https://control-plane.example.com",
    key="kbw_of-one",
    name="once-1",
    env={"LOG_LEVEL": "DEBUG", "QUEUE_ID": "another"},
)


@pytest.fixture(autouse=True)
def at_hand(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(cluster.address))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubiya", "resourceVersion": "1"}}
    cluster.api.objects[("namespaces", "", "kubiya")] = namespace


def over(job: str) -> Callable[[], bool]:
    return lambda: single.ended(job) is not None


@pytest.mark.parametrize(("fate", "status"), [(Fate.ENDS_WELL, 0), (Fate.ENDS_BADLY, 1)])
def test_it_runs_one_and_tells_how_that_ended(cluster: Cluster, fate: Fate, status: int) -> None:
    cluster.nodes.fate = fate
    said: list[str] = []
    job = single.start(WORKER, "provisioner-1", said.append)
    assert job == "kubiya/once-1"
    assert said == ["Starting the Job once-1 in kubiya"]
    until(over(job), "it ends")
    assert single.ended(job) == status
    assert single.remove(job)
    assert not single.remove(job)
    with pytest.raises(NotFound, match="no Job once-1"):
        single.ended(job)


def test_while_it_runs_it_has_no_status_and_its_owner_finds_it(cluster: Cluster) -> None:
    job = single.start(WORKER, "provisioner-1", print)
    until(lambda: bool(cluster.api.list("pods", "kubiya")), "its pod is there")
    assert single.ended(job) is None
    assert single.left_by("provisioner-1") == [job]
    assert single.left_by("provisioner-2") == []
    with pytest.raises(Conflict, match="already exists"):
        single.start(WORKER, "provisioner-2", print)
    assert single.left_by("provisioner-1") == [job]


def test_an_owner_may_have_any_name(cluster: Cluster) -> None:
    owner = "http://control-plane:7466/?of=" + "x" * 100
    job = single.start(WORKER, owner, print)
    assert single.left_by(owner) == [job]


def test_nothing_of_it_stays(cluster: Cluster) -> None:
    job = single.start(WORKER, "provisioner", print)
    secret = cluster.api.objects[("secrets", "kubiya", "once-1")]
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "Job"
    made = cluster.api.objects[("jobs", "kubiya", "once-1")]["spec"]
    assert (made["backoffLimit"], made["activeDeadlineSeconds"], made["ttlSecondsAfterFinished"]) == (0, 86_400, 3_600)
    assert "kbw_of-one" not in str(made)
    single.remove(job)
    until(lambda: {key[0] for key in cluster.api.objects} <= {"namespaces", "events"}, "all of it is gone")


def test_a_secret_that_cannot_be_made_leaves_no_job(cluster: Cluster) -> None:
    cluster.api.forbidden = {("create", "secrets")}
    with pytest.raises(Forbidden, match="cannot create"):
        single.start(WORKER, "provisioner", print)
    assert single.left_by("provisioner") == []


def test_a_control_plane_that_no_pod_reaches_is_refused(cluster: Cluster) -> None:
    local = single.JobWorker(queue="q", url="http://localhost:7466", key="k", name="once-1")
    with pytest.raises(Invalid, match="by no pod"):
        single.start(local, "provisioner", print)
    assert cluster.api.asked == []


def test_a_job_whose_pod_is_gone_has_failed_all_the_same(cluster: Cluster) -> None:
    cluster.nodes.fate = Fate.ENDS_BADLY
    job = single.start(WORKER, "provisioner", print)
    until(over(job), "it ends")
    for pod in cluster.api.list("pods", "kubiya"):
        with suppress(KeyError):
            del cluster.api.objects[("pods", "kubiya", pod["metadata"]["name"])]
    assert single.ended(job) == 126
