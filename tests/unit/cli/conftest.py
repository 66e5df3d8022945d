from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from kubiya_workers.cli.dispatch import run

from .fake_api import KEY, FakeApi, serving

Kubiya = Callable[..., int]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[FakeApi, None, None]:
    """A control plane that commands of this test reach."""
    with serving() as fake:
        monkeypatch.setenv("CONTROL_PLANE_URL", fake.url)
        monkeypatch.setenv("KUBIYA_API_KEY", KEY)
        monkeypatch.setenv("KUBIYA_HOME", str(tmp_path / "home"))
        for name in ("KUBIYA_CONTROL_PLANE_BASE_URL", "CONTROL_PLANE_GATEWAY_URL", "KUBIYA_MODEL", "QUEUE_ID"):
            monkeypatch.delenv(name, raising=False)
        yield fake


@pytest.fixture
def kubiya(monkeypatch: pytest.MonkeyPatch) -> Kubiya:
    """Runs a command as the shell would, stdin being no terminal; its exit status."""
    import io

    def command(*words: str, stdin: bytes = b"") -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return int(run(words))

    return command
