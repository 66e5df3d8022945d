"""What an install asks a control plane, and a cluster that is reached by TLS."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

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
        install(machine, *words, **here)
        (scaled,) = cluster.api.list("scaledobjects")
        (trigger,) = scaled["spec"]["triggers"]
        told = {name: trigger["metadata"][name] for name in ("endpoint", "taskQueue", "includeRunningWorkflowCount")}
        assert told == {"endpoint": "temporal:7233", "taskQueue": queue, "includeRunningWorkflowCount": "true"}
        assert scaled["spec"]["minReplicaCount"] == 0
    finally:
        installation.close()


def test_an_api_with_an_authority_of_its_own(machine: Machine, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    words = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=DNS:kubernetes", "-keyout", str(key), "-out"]
    subprocess.run([*made, *words, str(certificate)], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
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
