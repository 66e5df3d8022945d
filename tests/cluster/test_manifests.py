"""What an installation is made of: taken by the published schemas and the strictest profile, and as in the manual."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kubiya_workers.launchers.kubernetes import manifests, single, spec, values
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import BadSetting
from kubiya_workers.worker.intake import DRAIN_S
from tests.cluster.restricted import against_openshift, violations

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kubernetes"
MANUAL = Path(__file__).parent / "manual"
VERSIONS = ("1.37", "1.36", "1.35")
"""The current one and two before it."""
VARIANTS = ("basic", "autoscaling", "monitoring")
GIVEN: dict[str, Any] = {"queue": "q", "controlPlaneUrl": "https://control-plane.example.com"}
SCALED = {"by": "backlog", "temporal": {"address": "temporal:7233", "taskQueue": "id", "authentication": "a"}}
EVERYTHING: dict[str, Any] = {
    **GIVEN,
    "autoscaling": SCALED,
    "monitoring": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "settings": {"LOG_LEVEL": "DEBUG", "HEARTBEAT_INTERVAL": "15"},
    "secret": {"apiKey": "k"},
    "env": [{"name": "REGION", "value": "eu"}],
    "authorities": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
    "serviceAccountName": "cloud",
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"team": "agents"},
}

Object = dict[str, Any]


def objects(name: str) -> list[Object]:
    return list(yaml.safe_load_all((DEPLOY / f"{name}.yaml").read_text()))


def installed(**said: Any) -> list[Object]:
    found = values.of({**GIVEN, **said})
    return manifests.rendered(
        spec.Installation("kubiya-worker-q", "kubiya", found, key="k", secrets={"HTTP_PROXY": "p"})
    )


def a_job() -> Object:
    worker = single.JobWorker(
        queue="q", url="https://cp.example.com", key="k", name="once", tolerations=({"key": "t"},)
    )
    return single.job(worker, "owner")


def by_kind(found: list[Object], kind: str) -> Object:
    (one,) = (thing for thing in found if thing["kind"] == kind)
    return one


# --- schemas and profiles


@pytest.mark.parametrize("version", VERSIONS)
def test_the_published_schemas_take_them(version: str) -> None:
    cpu = installed(**{**EVERYTHING, "autoscaling": {"by": "cpu"}})
    everything = [thing for name in VARIANTS for thing in objects(name)] + installed(**EVERYTHING) + cpu + [a_job()]
    seen: set[str] = set()
    for thing in everything:
        if thing["kind"] not in ("ServiceMonitor", "ScaledObject"):  # extensions, whose schemas are elsewhere
            kubernetes_validate.validate(thing, version, strict=True)
            seen.add(thing["kind"])
    assert seen == manifests_of_kubernetes() | {"Namespace", "Job"}


def manifests_of_kubernetes() -> set[str]:
    return {"Secret", "ConfigMap", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"} | {
        "HorizontalPodAutoscaler"
    }


def test_a_mistake_would_be_seen_by_the_schemas() -> None:
    deployment = by_kind(installed(), "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 45
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def pods() -> Iterator[Object]:
    for name in VARIANTS:
        yield by_kind(objects(name), "Deployment")["spec"]["template"]["spec"]
    yield by_kind(installed(**EVERYTHING), "Deployment")["spec"]["template"]["spec"]
    yield a_job()["spec"]["template"]["spec"]


def test_pods_are_of_the_restricted_profile_of_kubernetes_and_of_openshift() -> None:
    for pod in pods():
        assert list(violations(pod)) == []
        assert list(against_openshift(pod)) == []
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_manuals_own_pod_would_not_be() -> None:
    pod = yaml.safe_load_all((MANUAL / "basic.yaml").read_text())
    assert len(list(violations(next(pod)["spec"]["template"]["spec"]))) >= 4


def test_what_is_written_is_written_to_what_is_mounted() -> None:
    for pod in pods():
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert {"/home/kubiya", "/work", "/tmp"} <= set(mounts.values())
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


def test_a_pod_has_the_time_that_its_worker_takes_to_drain() -> None:
    for pod in pods():
        assert pod["terminationGracePeriodSeconds"] > DRAIN_S + 15


def test_what_pods_are_told_is_known_to_them() -> None:
    known = {variable.name for variable in v.ALL} | {"SSL_CERT_FILE", "REGION"}
    found = installed(**EVERYTHING)
    pod = by_kind(found, "Deployment")["spec"]["template"]["spec"]
    told = {entry["name"] for entry in pod["containers"][0]["env"]}
    config = next(thing for thing in found if thing["metadata"]["name"].endswith("-config"))
    assert told | config["data"].keys() <= known
    assert not told & config["data"].keys()


# --- the manual


PATHS_THAT_DIFFER = {
    # The manual's key is kept under the same name; its settings are in the ConfigMap that its third variant has, too.
    "Deployment.spec.selector.matchLabels": "two installations in a namespace must not have each other's pods",
    "Deployment.spec.template.spec.containers[worker].env[LOG_LEVEL]": "settings are in the ConfigMap",
    "Deployment.spec.template.spec.containers[worker].image": "the image is that of this version",
    "Deployment.spec.template.spec.containers[worker].args": "and the log that is kept within the pod is small",
    "Deployment.spec.template.spec.containers[worker].livenessProbe.exec": "the worker says itself whether it is alive",
    "Deployment.spec.template.spec.containers[worker].livenessProbe.initialDelaySeconds": "a startup probe waits",
    "Deployment.spec.template.spec.containers[worker].readinessProbe.exec": "the worker says whether it takes work",
    "Deployment.spec.template.spec.containers[worker].readinessProbe.initialDelaySeconds": "a worker is ready in 1 s",
    "Service.spec.selector": "as the Deployment's",
    "ServiceMonitor.spec.selector.matchLabels": "as the Deployment's",
}
"""Where ours say otherwise than the manual, and why."""
ADDED_TO = {
    "Deployment.spec.selector.matchLabels",
    "Deployment.spec.template.spec.containers[worker].args",
    "Service.spec.selector",
    "ServiceMonitor.spec.selector.matchLabels",
}
"""Those of them where all of the manual's is there, and more."""


def differing(manual: Any, ours: Any, path: str) -> Iterator[str]:
    """The paths at which ours do not say what the manual says; what they say beyond it is theirs."""
    if path in ADDED_TO and ours != manual:
        yield path
        if isinstance(manual, dict):
            assert manual.items() <= ours.items()
        else:
            assert ours[: len(manual)] == manual
    elif isinstance(manual, dict) and isinstance(ours, dict):
        for name, value in manual.items():
            yield from differing(value, ours.get(name), f"{path}.{name}")
    elif isinstance(manual, list) and isinstance(ours, list):
        yield from differing_items(manual, ours, path)
    elif manual != ours:
        yield path


def differing_items(manual: list[Any], ours: list[Any], path: str) -> Iterator[str]:
    if not all(isinstance(item, dict) and "name" in item for item in manual):
        if len(manual) != len(ours):
            yield path
        for place, pair in enumerate(zip(manual, ours, strict=False)):
            yield from differing(*pair, f"{path}[{place}]")
        return
    named = {item["name"]: item for item in ours}
    for item in manual:
        yield from differing(item, named.get(item["name"]), f"{path}[{item['name']}]")


def test_every_manifest_of_the_manual_is_ours_field_by_field() -> None:
    found: set[str] = set()
    for name in VARIANTS:
        ours = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects(name)}
        for thing in yaml.safe_load_all((MANUAL / f"{name}.yaml").read_text()):
            found |= set(differing(thing, ours[(thing["kind"], thing["metadata"]["name"])], thing["kind"]))
    assert found == PATHS_THAT_DIFFER.keys()


def test_settings_that_the_manual_has_in_the_pod_are_in_the_config() -> None:
    assert by_kind(objects("basic"), "ConfigMap")["data"] == {"LOG_LEVEL": "INFO", "HEARTBEAT_INTERVAL": "30"}


def test_the_manuals_larger_resources_are_a_flag_away() -> None:
    manual = yaml.safe_load((MANUAL / "resources.yaml").read_text())["resources"]
    ours = values.Resources.within("2000m", "4Gi").model_dump()
    assert ours["limits"] == manual["limits"]
    assert values.of({**GIVEN, "resources": manual}).resources.model_dump() == manual
    usual = yaml.safe_load_all((MANUAL / "basic.yaml").read_text())
    assert next(usual)["spec"]["template"]["spec"]["containers"][0]["resources"] == values.Resources().model_dump()
    assert values.Resources.within("1000m", "2Gi") == values.Resources()


# --- the files


def test_the_files_are_what_would_be_written() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "manifests.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_installed_is_what_the_files_say() -> None:
    """The files are renderings of the same values; so are they of what the command applies."""
    found = values.of(
        {**GIVEN, "queue": "production-queue", "settings": {"LOG_LEVEL": "INFO", "HEARTBEAT_INTERVAL": "30"}}
    )
    it = spec.Installation("kubiya-worker", "kubiya", found, key="your-api-key-here", default_secret="kubiya-secrets")
    assert [manifests.namespace("kubiya"), *manifests.rendered(it)] == objects("basic")


# --- the chart, rendered by Helm itself


CHARTED = {
    "basic": {},
    "autoscaling": {"autoscaling": {"by": "cpu"}},
    "monitoring": {"monitoring": {"enabled": True}},
    "everything": EVERYTHING,
    "an image of a registry": {"image": "registry.example.com/kubiya-workers:0.1.0"},
    "an existing Secret, and no policy": {"secret": {"name": "mine"}, "networkPolicy": {"enabled": False}},
}


@pytest.fixture(scope="module")
def chart() -> Iterator[Any]:
    helm = pytest.importorskip("helm_python", reason="Helm's library is made for Linux on x86-64")
    with helm.Chart.load(str(DEPLOY / "chart")) as loaded:
        yield loaded


@pytest.mark.parametrize("name", CHARTED)
def test_the_chart_gives_what_is_installed(chart: Any, name: str) -> None:
    said = {**GIVEN, "secret": {"apiKey": "k"}, **CHARTED[name]}
    rendered = chart.render(said, name="kubiya-worker-q", namespace="kubiya")
    charted = [thing for text in rendered.values() for thing in yaml.safe_load_all(text) if thing]
    found = values.of(said)
    key = None if found.secret.name else "k"
    ours = manifests.rendered(spec.Installation("kubiya-worker-q", "kubiya", found, key=key, managed_by="Helm"))
    assert sorted(map(comparable, charted), key=str) == sorted(map(comparable, ours), key=str)


def comparable(thing: Any) -> Any:
    """Without what is empty, and without the hash that stands for a configuration: each has its own."""
    if isinstance(thing, dict):
        parts = {name: comparable(part) for name, part in thing.items() if name != manifests.CONFIG_HASH}
        return {name: part for name, part in sorted(parts.items()) if part not in (None, {}, [])}
    return [comparable(part) for part in thing] if isinstance(thing, list) else thing


def test_pods_are_replaced_when_their_configuration_changes(chart: Any) -> None:
    def hash_of(found: list[Object]) -> str:
        return by_kind(found, "Deployment")["spec"]["template"]["metadata"]["annotations"][manifests.CONFIG_HASH]

    def charted(**said: Any) -> list[Object]:
        rendered = chart.render({**GIVEN, "secret": {"apiKey": "k"}, **said}, name="n", namespace="kubiya")
        return [thing for text in rendered.values() for thing in yaml.safe_load_all(text) if thing]

    for made in (installed, charted):
        hashes = {hash_of(made(**said)) for said in ({}, {"settings": {"LOG_LEVEL": "DEBUG"}}, {"authorities": "PEM"})}
        assert len(hashes) == 3
        assert hash_of(made()) == hash_of(made(replicas=9))


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"queue": ""}, "the queue that the workers serve"),
        ({"controlPlaneUrl": ""}, "an address that pods can reach"),
        ({"secret": {}}, "secret.apiKey"),
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"autoscaling": {"by": "weather"}}, "/autoscaling/by"),
    ],
)
def test_the_chart_says_what_is_missing_or_wrong(chart: Any, said: Object, refused: str) -> None:
    with pytest.raises(Exception, match=refused):
        chart.render({**GIVEN, "secret": {"apiKey": "k"}, **said}, name="n", namespace="kubiya")


# --- values


def test_names_fit_and_no_two_queues_share_one() -> None:
    queues = ["q", "Q", "q.a", "q_a", "q-a", "x" * 63, "x" * 62, "prod-queue", "a.", "a_"]
    names = [spec.name_of(queue) for queue in queues]
    assert len(set(names)) == len(queues)
    assert names[0] == "kubiya-worker-q"
    for name in names:
        assert spec.check_name("the name", f"{name}-authorities") == f"{name}-authorities"


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"controlPlaneUrl": "http://127.0.0.1:7466"}, "controlPlaneUrl is an address of one machine alone"),
        ({"controlPlaneUrl": "control-plane"}, "begins with http"),
        ({"replica": 2}, "replica is no value of an installation"),
        ({"resources": {"limits": {"memory": "64Mi"}}}, r"resources.limits.memory must be a size from 192Mi"),
        ({"settings": {"LOG_LEVEL": "loud"}}, "settings.LOG_LEVEL must be one of DEBUG"),
        ({"settings": {"KUBIYA_API_KEY": "k"}}, "settings.KUBIYA_API_KEY is said by other values"),
        ({"autoscaling": {"by": "cpu", "minReplicas": 0}}, "only autoscaling by backlog can scale to 0"),
        ({"autoscaling": {"minReplicas": 5, "maxReplicas": 2}}, "minReplicas 5 is more than maxReplicas 2"),
        ({"autoscaling": {"by": "backlog"}}, "needs temporal.address"),
        ({"autoscaling": {"temporal": {"address": "localhost:7233"}}}, "an address of one machine alone"),
        ({"terminationGracePeriodSeconds": 10}, "terminationGracePeriodSeconds input should be greater"),
        ({"autoscaling": "cpu"}, "autoscaling input should be"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place(said: Object, refused: str) -> None:
    with pytest.raises(BadSetting, match=refused):
        values.of({**GIVEN, **said})


def test_flags_win_over_the_file_and_mappings_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("queue: other\nreplicas: 7\nimage: mine:1\nsettings: {LOG_LEVEL: DEBUG}\n")
    found = values.of({**GIVEN, "replicas": 2, "image": None, "settings": {"HEARTBEAT_INTERVAL": "15"}}, file)
    assert (found.queue, found.replicas, found.image) == ("q", 2, "mine:1")
    assert found.settings == {"LOG_LEVEL": "DEBUG", "HEARTBEAT_INTERVAL": "15"}


@pytest.mark.parametrize("content", ["[a", "- a\n- b\n", "a: 1\n"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(content)
    with pytest.raises(BadSetting, match=r"values\.yaml"):
        values.of(GIVEN, file)


def test_only_an_image_of_a_registry_is_pulled() -> None:
    for said, policy in (
        ({}, "Never"),
        ({"image": "kubiya-workers:mine"}, "Never"),
        ({"image": "registry.example.com/kubiya-workers:0.1.0"}, "IfNotPresent"),
        ({"imagePullPolicy": "Always"}, "Always"),
    ):
        (worker,) = by_kind(installed(**said), "Deployment")["spec"]["template"]["spec"]["containers"]
        assert worker["imagePullPolicy"] == policy


def test_a_secret_is_in_the_secret_alone() -> None:
    found = values.of(GIVEN)
    it = spec.Installation("n", "kubiya", found, key="the-key", secrets={"HTTPS_PROXY": "http://u:p@proxy:1"})
    assert "the-key" not in repr(it)
    for thing in manifests.rendered(it):
        if thing["kind"] == "Secret":
            assert thing["stringData"] == {"api-key": "the-key", "HTTPS_PROXY": "http://u:p@proxy:1"}
        else:
            assert "the-key" not in str(thing)
            assert "u:p" not in str(thing)
