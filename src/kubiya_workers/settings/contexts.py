"""`~/.kubiya/config`: control planes by name, and what goes with each; one of them is in force."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from . import variables as v
from .paths import Paths
from .source import BadSetting, Source, url

JsonText = str | dict[str, Any]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_kebab, populate_by_name=True)


class LocalProxy(_Part):
    """The LiteLLM beside workers that are started here. A relative `config-file` is beside the file that names it."""

    enabled: bool = False
    config_file: Path | None = None
    config_json: JsonText | None = Field(default=None, repr=False)
    model: str | None = None
    """The model for its worker's calls."""


class Context(_Part):
    control_plane_url: str | None = None
    api_key: SecretStr | None = None
    model: str | None = None
    litellm_proxy: LocalProxy | None = None

    @field_validator("control_plane_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return url(value) if value is not None else None

    def values(self, source: Source) -> dict[str, str]:
        """What it sets, by the variable of the environment that would win over it.

        Its key is for its own control plane, and goes to no other that the environment names.
        """
        elsewhere = source.first(v.BASE_URL, v.GATEWAY_URL, v.CONTROL_PLANE_URL) is not None
        key = None if elsewhere or self.api_key is None else self.api_key.get_secret_value()
        found = {v.CONTROL_PLANE_URL.name: self.control_plane_url, v.API_KEY.name: key, v.MODEL.name: self.model}
        return {name: value for name, value in found.items() if value}


class Named(_Part):
    name: str = Field(min_length=1)
    context: Context = Context()


class Contexts(_Part):
    """The whole file; `apiVersion` and `kind` are accepted, as in the file that it resembles."""

    api_version: str | None = Field(default=None, alias="apiVersion")
    kind: str | None = None
    current_context: str | None = None
    contexts: tuple[Named, ...] = ()

    def get(self, name: str) -> Context | None:
        return next((entry.context for entry in self.contexts if entry.name == name), None)

    def with_context(self, name: str, context: Context) -> "Contexts":
        """With this one added, or in the place of its namesake."""
        fresh = Named(name=name, context=context)
        known = any(entry.name == name for entry in self.contexts)
        entries = [fresh if entry.name == name else entry for entry in self.contexts]
        return self.model_copy(update={"contexts": tuple(entries if known else [*entries, fresh])})

    def without(self, name: str) -> "Contexts":
        left = tuple(entry for entry in self.contexts if entry.name != name)
        current = None if self.current_context == name else self.current_context
        return self.model_copy(update={"contexts": left, "current_context": current})


def file_of(source: Source) -> Path:
    named = source.get(v.CONFIG)
    return Path(named).expanduser() if named else Paths.of(source).home / "config"


def in_force(source: Source) -> tuple[str, Context] | None:
    """The name and the content of the current context: KUBIYA_CONTEXT's, or the file's own choice; None without one.

    Raises:
        BadSetting: the file cannot be used, or does not have the one that is asked for.
    """
    asked, file = source.get(v.CONTEXT), file_of(source)
    found = read(file)
    name = asked or found.current_context
    if not name:
        return None
    context = found.get(name)
    if context is None:
        whose = v.CONTEXT.name if asked else f"current-context in {file}"
        raise BadSetting(f"{whose} names the context {name!r}, which is not there; {_there_are(found, name)}")
    return name, _beside(context, file)


def read(file: Path) -> Contexts:
    """What a file says; nothing, when there is none.

    Raises:
        BadSetting: it cannot be read or understood; with the place.
    """
    try:
        text = file.read_text()
    except (FileNotFoundError, NotADirectoryError):  # a home that is a file is said by whoever needs one
        return Contexts()
    except OSError as error:
        raise BadSetting(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"{file} is no text") from None
    import yaml  # most homes have no such file

    try:
        return Contexts.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise BadSetting(f"{file} is no YAML{where}") from None
    except ValidationError as error:
        raise BadSetting(f"{file}: {_problem(error)}") from None


def as_text(contexts: Contexts) -> str:
    """The file that says this, keys included."""
    import yaml

    whole = contexts.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"contexts"})
    whole["contexts"] = [{"name": entry.name, "context": _plain(entry.context)} for entry in contexts.contexts]
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def open_to_others(file: Path) -> bool:
    """Whether somebody else of this machine may read it."""
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False


def _plain(context: Context) -> Mapping[str, Any]:
    plain = context.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain if context.api_key is None else {**plain, "api-key": context.api_key.get_secret_value()}


def _beside(context: Context, file: Path) -> Context:
    proxy = context.litellm_proxy
    if proxy is None or proxy.config_file is None:
        return context
    found = file.resolve().parent / proxy.config_file.expanduser()
    return context.model_copy(update={"litellm_proxy": proxy.model_copy(update={"config_file": found})})


def _there_are(found: Contexts, name: str) -> str:
    names = [entry.name for entry in found.contexts]
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return "there are " + ", ".join(names) if names else "make it with: kubiya config set-context NAME --url URL"


def _problem(error: ValidationError) -> str:
    """The first problem, with its place and never with the value, which may be a key."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        return f"{place} is no setting; {_allowed(first['loc'])}"
    return f"{place or 'the file'}: {first['msg']}"


def _allowed(place: tuple[str | int, ...]) -> str:
    model: type[_Part] = Contexts
    for part in place[:-1]:
        model = {"contexts": Named, "context": Context, "litellm-proxy": LocalProxy}.get(str(part), model)
    names = [str(field.alias or name) for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(str(place[-1]), names, n=1)
    return f"did you mean {near[0]}?" if near else "there are " + ", ".join(names)
