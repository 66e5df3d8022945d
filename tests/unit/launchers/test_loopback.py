import pytest

from kubiya_workers.launchers.ports import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_only_this_machine_reaches_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "fe80::1", "kubiya.example", "127.0.0.1.example"])
def test_others_reach_every_other_address(host: str) -> None:
    assert not is_loopback(host)
