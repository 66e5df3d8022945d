"""A cluster of our own, and one person's machine that is pointed at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.machine import Machine

from .api import Api, kubeconfig, serve
from .nodes import Nodes

KEY = "kbw_secret-of-the-worker"


@dataclass
class Cluster:
    api: Api
    nodes: Nodes
    address: str


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    api = Api()
    with contextmanager(serve)(api) as address, Nodes(api).running() as nodes:
        yield Cluster(api, nodes, address)


@pytest.fixture
def machine(tmp_path: Path, cluster: Cluster) -> Iterator[Machine]:
    """Its control plane is somewhere that only pods reach: nothing here asks it."""
    (tmp_path / "kubeconfig").write_text(kubeconfig(cluster.address))
    machine = Machine(
        tmp_path,
        {
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            "CONTROL_PLANE_URL": "https://control-plane.invalid",
            "KUBIYA_API_KEY": KEY,
            "SSL_CERT_FILE": "",  # this machine's, which may be large
            "REQUESTS_CA_BUNDLE": "",
        },
    )
    try:
        yield machine
    finally:
        machine.kill_everything()
