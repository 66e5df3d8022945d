"""A file of settings beside the environment."""

from pathlib import Path

import pytest

from kubiya_workers.cli import talk
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import BadSetting, Source


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(text: str) -> Source:
        file = tmp_path / "settings"
        file.write_text(text)
        monkeypatch.setenv("KUBIYA_ENV_FILE", str(file))
        return Source.of_process()

    for variable in v.ALL:
        monkeypatch.delenv(variable.name, raising=False)
    return write


def test_it_says_what_the_environment_does_not(said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARN")
    monkeypatch.setenv("QUEUE_ID", "")
    source = said("# a worker's\n\nKUBIYA_API_KEY=kbw_a=b==\nLOG_LEVEL=DEBUG\n QUEUE_ID = mine \n")
    assert source.get(v.API_KEY) == "kbw_a=b=="
    assert source.get(v.LOG_LEVEL) == "WARN"
    assert source.get(v.QUEUE_ID) == "mine"


@pytest.mark.parametrize("text", ["just words\n", "=secret-value\n"])
def test_a_line_that_is_none_is_refused_without_being_shown(said, text: str) -> None:
    with pytest.raises(BadSetting, match=r"line 2 of .*settings is not NAME=value") as refused:
        said(f"QUEUE_ID=q\n{text}")
    assert text.strip() not in str(refused.value)


def test_a_file_that_cannot_be_read_is_said(said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBIYA_ENV_FILE", "/nowhere/settings")
    with pytest.raises(BadSetting, match="KUBIYA_ENV_FILE='/nowhere/settings' cannot be read"):
        Source.of_process()
    assert not talk.colours(True), "the error itself has to be said"
