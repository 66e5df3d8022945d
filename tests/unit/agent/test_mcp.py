"""MCP servers as people define them: what is taken, what is refused, and with which words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.agent import mcp, references
from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.activities import ServerFault, ToolsListed
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.mcp import McpServer

PROGRAM: dict[str, Any] = {"command": "npx", "args": ["-y", "server"], "env": {"GITHUB_TOKEN": "${GITHUB_TOKEN}"}}
ADDRESS: dict[str, Any] = {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${API_TOKEN}"}}


def test_the_shape_that_people_have_in_their_files_is_taken() -> None:
    servers = mcp.of_environment(
        {
            "github": {"type": "stdio", **PROGRAM},
            "docs": {"type": "streamable-http", **ADDRESS},
            "off": {"command": "x", "disabled": True},
            "given": {"url": "${MCP_URL}"},
        }
    )
    assert [server.name for server in servers] == ["github", "docs", "given"]
    assert mcp.limits_of(servers[0]).command == "npx" and mcp.limits_of(servers[1]).transport == "http"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("npx", "is no object"),
        ({}, "needs either 'command' or 'url'"),
        ({**PROGRAM, **ADDRESS}, "needs either 'command' or 'url'"),
        ({"command": "x", "headers": {"A": "b"}}, "'headers' of MCP server 'it' does not go with stdio"),
        ({**ADDRESS, "args": ["x"]}, "'args' of MCP server 'it' does not go with http"),
        ({**ADDRESS, "type": "sse"}, "'sse' is not supported"),
        ({**ADDRESS, "type": ["http"]}, "is not supported"),
        ({"url": "https://host:port/"}, "no http or https address"),
        ({**ADDRESS, "type": "stdio"}, "stdio does not go with what is given"),
        ({"url": "ftp://host"}, "no http or https address"),
        ({"url": "https://"}, "no http or https address"),
        ({"url": "https://me:pass@host/"}, "holds credentials"),
        ({**PROGRAM, "autoApprove": ["x"]}, "no setting 'autoApprove'"),
        ({**PROGRAM, "timeout_s": -1}, "'timeout_s'"),
        ({**PROGRAM, "tool_classes": {"a": "twice"}}, "'tool_classes.a'"),
        ({"url": "https://host", "headers": {"A": "b\r\nC: d"}}, "'headers.A'"),
        ({"command": "x", "env": {"A=B": "c"}}, "'A=B' is no name"),
        ({"command": "x", "args": ["a\0"]}, "NUL"),
        ({"command": "x", "env": {"GITHUB_TOKEN": "abc123"}}, "'env.GITHUB_TOKEN' of MCP server 'it' holds a secret"),
        ({"command": "x", "env": {"NOTE": "ghp_0123456789abcdef"}}, "'env.NOTE'"),
        ({"url": "https://host", "headers": {"authorization": "Bearer abc"}}, "'headers.authorization'"),
        ({"url": "https://host/?apiKey=abc"}, "'url'"),
        ({"command": "x", "args": ["--api-key", "abc"]}, "'args.1'"),
        ({"command": "x", "args": ["--token=abc"]}, "'args.0'"),
    ],
)
def test_what_is_wrong_is_refused_by_name_with_a_fix(entry: Any, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        mcp.of_environment({"it": entry})
    assert said in refused.value.detail and "it" in refused.value.detail
    assert refused.value.fix
    assert "abc" not in f"{refused.value.detail} {refused.value.fix}"


def test_a_skill_is_checked_in_the_same_way() -> None:
    assert tools_for("mcp", PROGRAM) == ()
    with pytest.raises(Invalid, match="holds a secret"):
        tools_for("mcp", {"command": "x", "env": {"API_KEY": "abc"}})


def test_later_layers_win_and_there_is_a_limit() -> None:
    first, second = mcp.of_environment({"a": PROGRAM, "b": PROGRAM}), mcp.of_environment({"a": ADDRESS})
    merged = mcp.merged(first, second)
    assert [(server.name, "url" in server.config) for server in merged] == [("a", True), ("b", False)]
    with pytest.raises(Invalid, match="17 MCP servers"):
        mcp.merged(mcp.of_environment({f"s{n}": PROGRAM for n in range(17)}))


def test_variables_that_stand_for_secrets_are_secrets() -> None:
    server = mcp.of_skill("it", {**ADDRESS, "headers": {"Authorization": "Bearer $TOKEN", "X-Org": "${ORG}"}})
    assert mcp.secret_variables(server) == {"TOKEN"}
    server = mcp.of_skill("it", {"command": "x", "env": {"DB_PASSWORD": "${PW:-}", "TOKEN_FILE": "${FILE}"}})
    assert mcp.secret_variables(server) == {"PW"}


def test_a_run_fails_without_its_servers_but_for_optional_ones() -> None:
    servers = (McpServer(name="a", config={}), McpServer(name="b", config={"optional": True}))
    faults = tuple(ServerFault(server=name, reason=f"{name} is away") for name in ("a", "b"))
    error, without = mcp.verdict(servers, ToolsListed(faults=faults, notes=("a note",)))
    assert error == "MCP server 'a': a is away"
    assert without == ("MCP server 'b': b is away (optional: the run goes on without it)", "a note")
    assert mcp.verdict(servers, ToolsListed(faults=faults[1:]))[0] is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"),
        ("$A-$B", "1-"),
        ("x${A}y", "x1y"),
        ("$$A", "$A"),
        ("${NONE:-else}", "else"),
        ("${B:-else}", "else"),
        ("a$ 5$", "a$ 5$"),
    ],
)
def test_references(text: str, value: str) -> None:
    assert references.resolved(text, {"A": "1", "B": ""}) == value


def test_a_variable_that_is_not_there_is_named() -> None:
    with pytest.raises(references.Unset) as unset:
        references.resolved("Bearer ${NONE}", {})
    assert unset.value.name == "NONE"


@given(st.text(), st.dictionaries(st.from_regex(r"[A-Z_]{1,3}", fullmatch=True), st.text(), max_size=3))
def test_every_variable_is_either_named_or_left_alone(text: str, variables: dict[str, str]) -> None:
    known = {name: "" for name in references.names(text)} | variables
    references.resolved(text, known)  # raises when a name was overlooked


@pytest.mark.parametrize(
    "name", ["API_KEY", "X-Api-Key", "githubToken", "Authorization", "DB_PASSWORD", "PAT", "TOKEN_2"]
)
def test_which_names_are_those_of_secrets(name: str) -> None:
    assert references.is_secret_name(name)


@pytest.mark.parametrize("name", ["TOKEN_FILE", "KEYCLOAK_URL", "TOKENIZERS_PARALLELISM", "MONKEY", "PATH", ""])
def test_which_names_are_not(name: str) -> None:
    assert not references.is_secret_name(name)
