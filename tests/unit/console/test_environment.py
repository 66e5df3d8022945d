"""Variables that are saved: shown, heeded, refused; and secrets that stay where they are."""

from pathlib import Path

import pytest

from kubiya_workers.console import environment
from kubiya_workers.contracts.console import EnvironmentVariable, Origin
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.settings import saved
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source


def shown(paths: Paths, environ: dict[str, str], name: str) -> EnvironmentVariable:
    source = Source({"KUBIYA_HOME": str(paths.home), **environ}, saved.read(paths.saved_environment))
    return next(told for told in environment.page(paths, source).variables if told.name == name)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home")


def test_what_is_saved_counts_below_the_environment(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.save(paths, "MAX_CONCURRENT_ACTIVITIES", " 7 ")
    assert paths.saved_environment.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("KUBIYA_HOME", str(paths.home))
    monkeypatch.delenv("MAX_CONCURRENT_ACTIVITIES", raising=False)
    source = Source.of_process()
    assert source.get(v.MAX_CONCURRENT_ACTIVITIES) == 7 and "MAX_CONCURRENT_ACTIVITIES" not in source.environ
    assert source.get(v.MAX_CONCURRENT_ACTIVITIES, 9) == 9
    monkeypatch.setenv("MAX_CONCURRENT_ACTIVITIES", "8")
    assert Source.of_process().get(v.MAX_CONCURRENT_ACTIVITIES) == 8
    assert shown(paths, {}, "MAX_CONCURRENT_ACTIVITIES").origin is Origin.SAVED
    environment.save(paths, "MAX_CONCURRENT_ACTIVITIES", None)
    assert shown(paths, {}, "MAX_CONCURRENT_ACTIVITIES").origin is Origin.DEFAULT


def test_a_secret_is_never_shown(paths: Paths) -> None:
    environment.save(paths, "OPENAI_API_KEY", "sk-saved-one")
    for told in (shown(paths, {}, "OPENAI_API_KEY"), shown(paths, {"GROQ_API_KEY": "gsk-x"}, "GROQ_API_KEY")):
        assert told.is_set and told.secret and told.value is None
    source = Source({}, saved.read(paths.saved_environment))
    assert "sk-saved-one" not in environment.page(paths, source).model_dump_json()
    url = shown(paths, {"KUBIYA_LLM_BASE_URL": "https://user:pass@llm.example/v1"}, "KUBIYA_LLM_BASE_URL")
    assert url.value == "https://***@llm.example/v1"


def test_what_cannot_be_saved(paths: Paths) -> None:
    with pytest.raises(NotFound):
        environment.save(paths, "PATH", "/tmp")
    for name in ("KUBIYA_HOME", "KUBIYA_API_KEY", "CONTROL_PLANE_URL", "KUBIYA_WEBUI_HOST", "HTTPS_PROXY"):
        assert not shown(paths, {}, name).editable
        with pytest.raises(Conflict):
            environment.save(paths, name, "http://elsewhere.example")
    with pytest.raises(Invalid) as refused:
        environment.save(paths, "KUBIYA_LLM_BASE_URL", "not-an-address")
    assert "not-an-address" not in refused.value.detail
    assert not paths.saved_environment.exists()


def test_a_file_that_says_more_than_it_may_is_heeded_no_further(paths: Paths) -> None:
    paths.home.mkdir()
    paths.saved_environment.write_text('{"KUBIYA_API_KEY": "x", "MAX_TASKS": 3, "LOG_LEVEL": "DEBUG"}')
    assert saved.read(paths.saved_environment) == {"LOG_LEVEL": "DEBUG"}
    paths.saved_environment.write_text("[1]")
    assert saved.read(paths.saved_environment) == {}


def test_every_fixed_name_is_a_variable() -> None:
    assert {variable.name for variable in v.ALL} >= saved.FIXED
