"""Contexts: what the file may say, which one is in force, and whose key goes where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kubiya_workers.cli.commands.contexts import write
from kubiya_workers.settings import contexts
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.contexts import Context, Contexts, LocalProxy, Named
from kubiya_workers.settings.source import BadSetting, Source

FILE = """
apiVersion: v1
kind: Config
current-context: acme
contexts:
  - name: acme
    context:
      control-plane-url: https://kubiya.acme.example/
      api-key: kbk_secret
      model: big
      litellm-proxy:
        enabled: true
        config-file: litellm.yaml
        model: small
  - name: home
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config"
    file.write_text(FILE)
    return file


def settings(file: Path, **environ: str) -> ClientSettings:
    source = Source({"KUBIYA_CONFIG": str(file), **environ})
    found = contexts.in_force(source)
    return ClientSettings.of(source, found[1] if found else None)


def test_the_current_context_is_in_force(file: Path) -> None:
    known = settings(file)
    assert (known.url, known.key, known.model, known.context_model) == (
        "https://kubiya.acme.example",
        "kbk_secret",
        None,
        "big",
    )
    assert known.local_proxy == LocalProxy(enabled=True, config_file=file.parent / "litellm.yaml", model="small")
    assert "kbk_secret" not in repr(contexts.read(file))


def test_the_environment_wins(file: Path) -> None:
    known = settings(file, KUBIYA_MODEL="mine", KUBIYA_API_KEY="other")
    assert (known.url, known.key, known.model) == ("https://kubiya.acme.example", "other", "mine")
    assert settings(file, KUBIYA_CONTEXT="home").url is None


@pytest.mark.parametrize("name", ["KUBIYA_CONTROL_PLANE_BASE_URL", "CONTROL_PLANE_GATEWAY_URL", "CONTROL_PLANE_URL"])
def test_a_contexts_key_goes_to_no_other_control_plane(file: Path, name: str) -> None:
    known = settings(file, **{name: "https://elsewhere.example"})
    assert (known.url, known.key) == ("https://elsewhere.example", None)


def test_without_a_file_nothing_is_in_force(tmp_path: Path) -> None:
    assert contexts.in_force(Source({"KUBIYA_HOME": str(tmp_path)})) is None
    with pytest.raises(BadSetting, match=r"KUBIYA_CONTEXT names the context 'acme'.*set-context"):
        contexts.in_force(Source({"KUBIYA_HOME": str(tmp_path), "KUBIYA_CONTEXT": "acme"}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("current-context: [", "no YAML (line"),
        ("- a", "the file"),
        ("current-context: acne\ncontexts: [{name: acme}]", "did you mean acme?"),
        ("contexts: [{name: a, context: {modle: m}}]", "contexts[0].context.modle is no setting; did you mean model?"),
        (
            "contexts: [{name: a, context: {litellm-proxy: {start: true}}}]",
            "litellm-proxy.start is no setting; there are enabled, config-file, config-json, model",
        ),
        ("contexts: [{name: a, context: {control-plane-url: acme}}]", "begins with http:// or https://"),
        ("contexts: [{name: a, context: {api-key: [kbk_secret]}}]", "contexts[0].context.api-key"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(BadSetting) as raised:
        contexts.in_force(Source({"KUBIYA_CONFIG": str(file)}))
    assert says in str(raised.value) and "kbk_secret" not in str(raised.value)


_texts = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
_proxies = st.builds(LocalProxy, enabled=st.booleans(), model=_texts)
_contexts = st.builds(
    Context, api_key=st.none() | st.builds(SecretStr, st.text("abc:#'\" ")), model=_texts, litellm_proxy=_proxies
)


@given(st.lists(_contexts, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, parts: list[Context]) -> None:
    file = tmp_path_factory.mktemp("contexts") / "deep" / "config"
    entries = tuple(Named(name=f"c{number}", context=part) for number, part in enumerate(parts))
    write(file, Contexts(current_context="c0", contexts=entries))
    assert contexts.read(file) == Contexts(current_context="c0", contexts=entries)
    assert not contexts.open_to_others(file)
    assert [path.name for path in file.parent.iterdir()] == ["config"]


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text(FILE)
    link.symlink_to(real)
    write(link, contexts.read(link).without("acme"))
    assert link.is_symlink()
    left = contexts.read(real)
    assert [entry.name for entry in left.contexts] == ["home"] and left.current_context is None
