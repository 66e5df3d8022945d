"""What an install asks a control plane, and clusters that are reached by TLS: from outside, and by a pod of theirs."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml
from kubernetes.config import incluster_config

from kubiya_workers.launchers.kubernetes import cluster as cluster_module
from tests.e2e.installation import Installation
from tests.e2e.machine import Machine

from .api import KEDA, Api, kubeconfig, serve
from .conftest import Cluster
from .test_install import install


def test_keda_is_told_the_queue_as_temporal_knows_it(machine: Machine, cluster: Cluster) -> None:
    cluster.api.extensions = KEDA
    installation = Installation(machine)
    installation.start_server()
    try:
        here = {
            "CONTROL_PLANE_URL": installation.url,
            "KUBIYA_API_KEY": installation.key,
            "TEMPORAL_HOST": "temporal:7233",
        }
        words = (
            "--autoscale",
            "backlog",
            "--min-replicas",
            "0",
            "--no-wait",
            "--control-plane-url",
            "https://cp.example.com",
        )
        refused = install(machine, *words, status=4, **here)
        assert "q" in refused.stderr
        queue = installation.queue("q")
        # The key that the pods get is enough to ask for that.
        made = machine.run("key", "create", "pods", "--scope", "worker", "--queue", "q", env=here)
        install(machine, *words, **here | {"KUBIYA_API_KEY": made.stdout.strip()})
        (scaled,) = cluster.api.list("scaledobjects")
        (trigger,) = scaled["spec"]["triggers"]
        told = {name: trigger["metadata"][name] for name in ("endpoint", "taskQueue", "includeRunningWorkflowCount")}
        assert told == {"endpoint": "temporal:7233", "taskQueue": queue, "includeRunningWorkflowCount": "true"}
        assert scaled["spec"]["minReplicaCount"] == 0
    finally:
        installation.close()


def test_an_api_with_an_authority_of_its_own(machine: Machine, tmp_path: Path) -> None:
    context = speaking_tls(tmp_path, "DNS:kubernetes")
    for address in serve(Api(), context):
        config = yaml.safe_load(kubeconfig(address))
        (cluster,) = config["clusters"]
        file = tmp_path / "over-tls"
        file.write_text(yaml.safe_dump(config))
        assert "certificate verify failed" in install(machine, "--dry-run", "--kubeconfig", str(file), status=5).stderr
        # A relative path is beside the file, and the name that the certificate bears is said apart.
        cluster["cluster"] |= {"certificate-authority": "certificate.pem", "tls-server-name": "kubernetes"}
        file.write_text(yaml.safe_dump(config))
        assert "would be created" in install(machine, "--dry-run", "--kubeconfig", str(file)).stdout


def test_a_pod_reaches_its_own_cluster_by_its_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(token="of-the-account")
    context = speaking_tls(tmp_path, "IP:127.0.0.1")
    for name, content in (("token", "of-the-account"), ("namespace", "mine\n")):
        (tmp_path / name).write_text(content)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    # Where a node mounts them is no place of ours to write to.
    monkeypatch.setattr(cluster_module, "_IN_A_POD", tmp_path / "token")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "certificate.pem"))
    for address in serve(api, context):
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", address.rpartition(":")[2])
        assert cluster_module.named() == ("", "")
        assert cluster_module.own_namespace() == "mine"
        with cluster_module.connected() as cluster:
            assert cluster.address == address
            assert cluster.serves("apps/v1")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig("http://127.0.0.1:1"))
    assert cluster_module.own_namespace() is None
    assert cluster_module.named() == (str(tmp_path / ".kube" / "config"), "here")


def speaking_tls(directory: Path, name: str) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate of its own for a name: `certificate.pem` in the directory."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words = ["-days", "2", "-subj", "/CN=kubernetes", "-addext", f"subjectAltName={name}"]
    written = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *words, *written], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
