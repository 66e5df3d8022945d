"""Configurations of LiteLLM, checked before anything is started."""

import json
from pathlib import Path

import pytest
import yaml

from kubiya_workers.launchers.litellm.config import parsed, read
from kubiya_workers.settings.source import BadSetting

BEDROCK = """
model_list:
  - model_name: claude-3-5-sonnet
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/AWS_SECRET_ACCESS_KEY
      aws_region_name: us-east-1
"""
AWS = {"AWS_ACCESS_KEY_ID": "AKIA-not-one", "AWS_SECRET_ACCESS_KEY": "very-secret-value"}
ONE = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/x", "api_key": "sk-literal-secret"}}]}


def test_the_documented_example_is_taken_word_for_word() -> None:
    config = parsed(BEDROCK, "file", AWS)
    assert config.models == ("claude-3-5-sonnet",) and config.default_model == "claude-3-5-sonnet"
    assert config.references() == set(AWS)
    assert set(config.secrets(AWS)) == set(AWS.values())
    assert "very-secret-value" not in repr(config)


def test_all_of_it_passes_through() -> None:
    whole = {
        **ONE,
        "litellm_settings": {"drop_params": True, "fallbacks": [{"m": ["n"]}]},
        "router_settings": {"num_retries": 2},
        "general_settings": {"master_key": "sk-of-the-user"},
        "environment_variables": {"LANGFUSE_PUBLIC_KEY": "pk"},
    }
    for text in (json.dumps(whole), yaml.safe_dump(whole)):
        config = parsed(text, "text", {})
        assert config.content == whole
        assert config.master_key({}) == "sk-of-the-user"
        assert "sk-literal-secret" in config.secrets({})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_list: [", "text is neither YAML nor JSON: line 1, column"),
        ("{", "neither YAML nor JSON"),
        ("- a", "needs a model_list at its top"),
        ("", "needs a model_list at its top"),
        ("litellm_settings: {}", "has no model_list"),
        ("model_list: []", "has no model_list"),
        ("model_list: [{}]", "model_list[0] has no model_name"),
        ("model_list: [{model_name: m}]", "model_list[0] has no litellm_params.model"),
        ("model_list: [{model_name: m, litellm_params: {model: 1}}]", "model_list[0] has no litellm_params.model"),
        (json.dumps({**ONE, "router_setings": {}}), "no section 'router_setings'; did you mean router_settings?"),
        (json.dumps({**ONE, "zzz": {}}), "no section 'zzz'"),
        (BEDROCK, "model_list[0].litellm_params.aws_access_key_id refers to the variable AWS_ACCESS_KEY_ID"),
        (json.dumps({**ONE, "general_settings": {"database_url": "postgresql://"}}), "keeps no database"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, says: str) -> None:
    with pytest.raises(BadSetting, match=r"^text") as refused:
        parsed(text, "text", {})
    assert says in str(refused.value)


def test_a_variable_may_be_set_by_the_configuration_itself() -> None:
    config = {**ONE, "environment_variables": {"OWN": "x"}}
    config["model_list"] = [{"model_name": "m", "litellm_params": {"model": "a/b", "api_key": "os.environ/OWN"}}]
    assert parsed(json.dumps(config), "text", {}).models == ("m",)


def test_the_users_own_file_is_used_and_another_form_is_written(tmp_path: Path) -> None:
    own, other = tmp_path / "litellm.yml", tmp_path / "litellm.json"
    own.write_text(yaml.safe_dump(ONE))
    other.write_text(json.dumps(ONE))
    assert read(own, {}).written(tmp_path / "run") == own
    written = read(other, {}).written(tmp_path / "run")
    assert yaml.safe_load(written.read_text()) == ONE
    assert written.stat().st_mode & 0o777 == 0o600 and written.suffix == ".yaml"
    with pytest.raises(BadSetting, match="No such file"):
        read(tmp_path / "missing.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSetting, match="no text"):
        read(tmp_path / "binary.yaml", {})


def test_a_pattern_of_names_is_no_default() -> None:
    config = {"model_list": [{"model_name": n, "litellm_params": {"model": "openai/*"}} for n in ("openai/*", "m")]}
    assert parsed(json.dumps(config), "text", {}).default_model == "m"
