import socket

import pytest

from kubiya_workers.launchers import ports
from kubiya_workers.settings.source import BadSetting

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as holder:
        yield holder.getsockname()[1]


def test_the_port_asked_for_is_taken_when_free() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        free = probe.getsockname()[1]
    with ports.listen(HOST, free, exactly=True) as server:
        assert server.getsockname()[1] == free
        socket.create_connection((HOST, free), 5).close()


def test_a_port_in_use_is_refused_when_it_was_asked_for(taken: int) -> None:
    with pytest.raises(BadSetting, match=f"port {taken} .* is in use"):
        ports.listen(HOST, taken, exactly=True)


def test_a_port_in_use_means_the_next_one_otherwise(taken: int) -> None:
    with ports.listen(HOST, taken, exactly=False) as server:
        assert server.getsockname()[1] != taken


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadSetting, match="cannot listen"):
        ports.listen("203.0.113.1", 0, exactly=True)


def test_candidates_leave_out_what_is_in_use_and_end_with_any_free_one(taken: int) -> None:
    found = list(ports.candidates(HOST, taken, 3))
    assert taken not in found
    assert found


def test_candidates_end_before_the_last_port() -> None:
    assert all(0 < port < 65_536 for port in ports.candidates(HOST, 65_534, 10))
