"""The catalogue of skills, and what their configurations may say."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kubiya_workers.agent.skills import definitions, tools_for
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.tools import Approval, ToolClass

TOOLS = ["shell", "read_file", "write_file", "list_directory", "search_files", "http_request"]


def test_the_catalogue() -> None:
    catalogue = definitions()
    assert [definition.type for definition in catalogue] == ["shell", "file_system", "http", "mcp"]
    assert [tool.name for definition in catalogue for tool in definition.tools] == TOOLS
    for definition in catalogue:
        Draft202012Validator.check_schema(definition.configuration_schema)
        assert definition.configuration_schema["additionalProperties"] is False
        for tool in definition.tools:
            Draft202012Validator.check_schema(tool.parameters)
            assert tool.skill == definition.type and tool.description


@pytest.mark.parametrize(
    ("skill", "configuration", "tool", "expected"),
    [
        ("shell", {}, "shell", ToolClass.ONCE),
        ("shell", {"tool_class": "retry_safe"}, "shell", ToolClass.RETRY_SAFE),
        ("file_system", {}, "read_file", ToolClass.PURE),
        ("file_system", {}, "write_file", ToolClass.RETRY_SAFE),
        ("http", {}, "http_request", ToolClass.ONCE),
        ("http", {"methods": ["GET", "HEAD"]}, "http_request", ToolClass.PURE),
        ("http", {"idempotent": True}, "http_request", ToolClass.RETRY_SAFE),
    ],
)
def test_how_often_a_tool_may_run(skill: str, configuration: dict[str, Any], tool: str, expected: ToolClass) -> None:
    assert next(spec for spec in tools_for(skill, configuration) if spec.name == tool).tool_class is expected


def test_a_configuration_becomes_the_limits_of_its_tools() -> None:
    (shell,) = tools_for("shell", {"timeout_s": 5, "output_limit": 1024, "approval": "always", "allow": ["git"]})
    assert (shell.timeout_s, shell.output_limit, shell.approval) == (5, 1024, Approval.ALWAYS)
    assert shell.config["allow"] == ["git"]


def test_what_may_only_read_is_offered_no_writing() -> None:
    names = [spec.name for spec in tools_for("file_system", {"read_only": True})]
    assert names == ["read_file", "list_directory", "search_files"]


@pytest.mark.parametrize(
    ("skill", "configuration", "key"),
    [
        ("shell", {"alow": ["ls"]}, "alow"),
        ("shell", {"timeout_s": 0}, "timeout_s"),
        ("shell", {"timeout_s": "soon"}, "timeout_s"),
        ("shell", {"allow": "ls"}, "allow"),
        ("shell", {"allow": ["ls", 7]}, "allow.1"),
        ("shell", {"approval": "maybe"}, "approval"),
        ("file_system", {"max_bytes": -1}, "max_bytes"),
        ("http", {"methods": ["TRACE"]}, "methods.0"),
        ("http", {"methods": []}, "methods"),
    ],
)
def test_a_wrong_configuration_names_its_key(skill: str, configuration: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as refused:
        tools_for(skill, configuration)
    assert repr(key) in refused.value.detail and refused.value.fix


def test_an_unknown_type_names_those_there_are() -> None:
    with pytest.raises(Invalid) as refused:
        tools_for("browser", {})
    assert refused.value.fix == "Use one of: shell, file_system, http, mcp"
