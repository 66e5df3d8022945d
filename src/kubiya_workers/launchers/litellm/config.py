"""A configuration of LiteLLM, checked before anything is started: each error says where it is and what helps.

All of it passes through: what is checked is what would make LiteLLM fail late, or quietly do something else.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from kubiya_workers.contracts.console import ProxyModel
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.settings.source import BadSetting

from ..state import make_private, unwritable

SECTIONS = (
    "model_list", "litellm_settings", "router_settings", "general_settings", "environment_variables",
    "callback_settings", "credential_list", "guardrails", "policies", "policy_attachments", "prompts", "mcp_servers",
    "mcp_tools", "search_tools", "sandbox_tools", "vector_store_registry", "agents", "agent_list", "plugins",
    "files_settings", "finetune_settings", "assistant_settings", "default_vertex_config", "pass_through_endpoints",
    "worker_registry", "include",
)  # fmt: skip
"""What LiteLLM reads at the top of its configuration."""
_REFERENCE = "os.environ/"
_MASK = "***"
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class ProxyConfig:
    """A checked configuration. `origin` names it in errors, `path` is the file where it is one that LiteLLM reads."""

    origin: str
    content: JsonObject = field(repr=False)
    path: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The names that can be asked for, in the order of the configuration; one may hold a `*`."""
        return tuple(dict.fromkeys(str(entry["model_name"]) for entry in self.content["model_list"]))

    @property
    def default_model(self) -> str | None:
        """The first name that is one."""
        return next((name for name in self.models if "*" not in name), None)

    def references(self) -> frozenset[str]:
        """The variables of the environment that it names: they are the proxy's alone."""
        return frozenset(name for _, name in _references(self.content, ""))

    def secrets(self, environ: Mapping[str, str]) -> list[str]:
        """The values in it, behind its references, and in the variables that LiteLLM looks for by itself, that nobody
        may read in a log or an error."""
        literal = [text for where, text in _leaves(self.content, "") if _is_literal_secret(where, text)]
        named = [text for name, text in environ.items() if _is_literal_secret(name, text)]
        return [*literal, *named, *(environ[name] for name in self.references() if environ.get(name))]

    def master_key(self, environ: Mapping[str, str]) -> str | None:
        """The key that it sets for its callers, if it does."""
        key = str(_in(self.content.get("general_settings"), "master_key") or "")
        return environ.get(key.removeprefix(_REFERENCE)) if key.startswith(_REFERENCE) else key or None

    def literal_secrets(self) -> list[str]:
        """The places of secrets that stand in it as they are, and not as a reference."""
        return [where for where, text in _leaves(self.content, "") if _is_literal_secret(where, text)]

    def shown(self) -> tuple[ProxyModel, ...]:
        """Its endpoints, as they may be shown: a secret that stands in it as it is is masked."""
        return tuple(
            ProxyModel(model_name=str(entry["model_name"]), params=masked(entry["litellm_params"]))
            for entry in self.content["model_list"]
        )

    def written(self, directory: Path, name: str = "litellm.yaml") -> Path:
        """The file for LiteLLM: the user's own where that will do, since it may name files beside it.

        Raises:
            BadSetting: the directory cannot be written.
        """
        if self.path is not None and self.path.suffix.lower() in _YAML:
            return self.path.resolve()
        import json

        file = directory / name
        try:
            make_private(directory)
            file.touch(mode=0o600)
            file.write_text(json.dumps(self.content))  # which is YAML, too
        except OSError as error:
            raise unwritable(file, error) from error
        return file


def read(path: Path, environ: Mapping[str, str] | None) -> ProxyConfig:
    """A configuration file, YAML or JSON; `environ` as in `parsed`.

    Raises:
        BadSetting: it cannot be read, or `parsed` refuses it.
    """
    try:
        text = path.expanduser().read_text()
    except OSError as error:
        raise BadSetting(f"the LiteLLM configuration {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"the LiteLLM configuration {path} is no text") from None
    return parsed(text, str(path), environ, path=path.expanduser())


def parsed(text: str, origin: str, environ: Mapping[str, str] | None, *, path: Path | None = None) -> ProxyConfig:
    """A configuration as text, YAML or JSON. Without an `environ` it is for another machine, which has its variables.

    Raises:
        BadSetting: it is neither, has no model, an unknown section, or refers to a variable that is not set.
    """
    import yaml

    try:
        content: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadSetting(f"{origin} is neither YAML nor JSON: {_place(error)}") from None
    if not isinstance(content, dict):
        raise BadSetting(f"{origin} is no LiteLLM configuration: it needs a model_list at its top")
    found = cast(JsonObject, content)
    _check_sections(found, origin)
    _check_models(found, origin)
    if environ is not None:
        _check_references(found, origin, environ)
    _check_database(found, origin)
    return ProxyConfig(origin, found, path)


def _place(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _check_sections(content: JsonObject, origin: str) -> None:
    for name in content:
        if name not in SECTIONS:
            near = difflib.get_close_matches(str(name), SECTIONS, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(SECTIONS[:5])} and others"
            raise BadSetting(f"{origin}: LiteLLM knows no section {name!r}{meant}")


def _check_models(content: JsonObject, origin: str) -> None:
    models = content.get("model_list")
    if not isinstance(models, list) or not models:
        raise BadSetting(
            f"{origin}: it has no model_list; name at least one model with its model_name and litellm_params.model"
        )
    for number, entry in enumerate(cast("list[Any]", models)):
        where = f"{origin}: model_list[{number}]"
        if not isinstance(_in(entry, "model_name"), str):
            raise BadSetting(f"{where} has no model_name, the name that people will ask for")
        if not isinstance(_in(_in(entry, "litellm_params"), "model"), str):
            raise BadSetting(f"{where} has no litellm_params.model, such as bedrock/… or openai/…")


def _in(value: object, name: str) -> object:
    return cast("dict[Any, object]", value).get(name) if isinstance(value, dict) else None


def _check_references(content: JsonObject, origin: str, environ: Mapping[str, str]) -> None:
    own = cast("Mapping[str, Any]", content.get("environment_variables") or {})
    for where, name in _references(content, ""):
        if not environ.get(name) and name not in own:
            raise BadSetting(
                f"{origin}: {where} refers to the variable {name}, which is not set; export it, or name another"
            )


def _check_database(content: JsonObject, origin: str) -> None:
    if _in(content.get("general_settings"), "database_url"):
        raise BadSetting(f"{origin}: general_settings.database_url: this proxy keeps no database; remove the line")


def _references(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Each `os.environ/NAME` with its place: `model_list[0].litellm_params.api_key`."""
    for place, text in _leaves(value, where):
        if text.startswith(_REFERENCE):
            yield place, text.removeprefix(_REFERENCE)


def _leaves(value: object, where: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield where, value
        case dict():
            for name, inner in cast("dict[Any, object]", value).items():
                yield from _leaves(inner, f"{where}.{name}" if where else str(name))
        case list():
            for number, inner in enumerate(cast("list[object]", value)):
                yield from _leaves(inner, f"{where}[{number}]")
        case _:
            return


def masked(value: Any, name: str = "") -> Any:
    """What stands below `name` in some configuration, as it may be shown: no literal secret, no credentials."""
    match value:
        case str():
            return _MASK if _is_literal_secret(name, value) else _CREDENTIALS.sub(f"//{_MASK}@", value)
        case dict():
            pairs = cast("dict[Any, Any]", value)
            return {str(key): masked(inner, f"{name}.{key}") for key, inner in pairs.items()}
        case list():
            return [masked(inner, name) for inner in cast("list[Any]", value)]
        case _:
            return value


def _is_literal_secret(where: str, text: str) -> bool:
    name = where.rpartition(".")[2].lower()
    named = any(word in name for word in ("key", "secret", "token", "password", "credential"))
    return named and bool(text) and not text.startswith(_REFERENCE)
