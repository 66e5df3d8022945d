"""What people may configure of a skill: one frozen type a skill, the same for the API that accepts it and for the
tool that obeys it. Times are in seconds, sizes in bytes."""

from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.tools import Approval, ToolClass
from kubiya_workers.contracts.wire import JsonObject, Wire

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Method = Literal["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"]


class SkillLimits(Wire):
    """What every skill has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: float = Field(default=300.0, gt=0, le=86_400, description="Seconds that one call may take.")
    output_limit: int = Field(
        default=65_536, ge=256, le=1_048_576, description="Bytes of output that are kept of one call."
    )
    approval: Approval = Field(default=Approval.NEVER, description="Whether a person must agree before each call.")


class ShellLimits(SkillLimits):
    tool_class: ToolClass = Field(
        default=ToolClass.ONCE,
        description="once: never run again when a worker dies; retry_safe: run again with the same "
        "KUBIYA_IDEMPOTENCY_KEY; pure: changes nothing.",
    )
    allow: tuple[Pattern, ...] = Field(
        default=(),
        description="Programs that may run, by name or pattern. With this or `deny` there is no shell: no pipes, "
        "redirections or substitutions.",
    )
    deny: tuple[Pattern, ...] = Field(
        default=(), description="Programs that may not run; nor may those that run others (sh, env, xargs …)."
    )


class FileLimits(SkillLimits):
    timeout_s: float = Field(default=60.0, gt=0, le=3_600, description="Seconds that one call may take.")
    read_only: bool = Field(default=False, description="Offer no tool that changes files.")
    max_bytes: int = Field(
        default=1_048_576, ge=1, le=16_777_216, description="Bytes of the largest file that is read or written."
    )
    deny: tuple[Pattern, ...] = Field(
        default=(), description="Files that do not exist for the tools: patterns on names (.env) or paths (secrets/*)."
    )


class HttpLimits(SkillLimits):
    timeout_s: float = Field(default=60.0, gt=0, le=3_600, description="Seconds that one call may take.")
    methods: tuple[Method, ...] = Field(default=("GET", "POST"), min_length=1, description="Methods that are offered.")
    idempotent: bool = Field(
        default=False, description="The servers honour Idempotency-Key, so that a request may be sent again."
    )
    max_bytes: int = Field(
        default=1_048_576, ge=1, le=16_777_216, description="Bytes of an answer that are read at most."
    )
    max_redirects: int = Field(default=5, ge=0, le=20, description="Redirects that are followed.")
    allow_hosts: tuple[Pattern, ...] = Field(
        default=(), description="Hosts that may be reached, by name or pattern (*.example.com); none means any."
    )
    deny_hosts: tuple[Pattern, ...] = Field(default=(), description="Hosts that may not be reached.")
    allow_private: bool = Field(
        default=True, description="Whether addresses of this machine and of private networks may be reached."
    )
    allow_link_local: bool = Field(
        default=False, description="Whether link-local addresses may be reached, and so a cloud's metadata service."
    )


class McpLimits(SkillLimits):
    transport: Literal["stdio", "http"] | None = Field(
        default=None,
        description="stdio: `command` is started; http: `url` is called. By default what is given says it.",
    )
    command: str | None = Field(default=None, min_length=1, max_length=4_096, description="The program to start.")
    args: tuple[str, ...] = Field(default=(), max_length=256, description="The words that it is started with.")
    env: dict[str, str] = Field(
        default={}, description="Its variables; ${NAME} is the value of the execution's variable NAME."
    )
    url: str | None = Field(
        default=None, min_length=1, max_length=4_096, description="Where it speaks streamable HTTP."
    )
    headers: dict[str, str] = Field(
        default={}, description="Headers of each request; ${NAME} is the value of the execution's variable NAME."
    )
    tools: tuple[Pattern, ...] = Field(
        default=(), description="The tools that are offered, by name or pattern; none means all."
    )
    tool_classes: dict[Pattern, ToolClass] = Field(
        default={}, description="once, retry_safe or pure for tools by name or pattern; the first that fits counts."
    )
    tool_approvals: dict[Pattern, Approval] = Field(
        default={}, description="always or never for tools by name or pattern, before `approval`."
    )
    trust_hints: bool = Field(
        default=False, description="Believe the server which tools only read (pure) or are idempotent (retry_safe)."
    )
    optional: bool = Field(default=False, description="Whether a run goes on without the server when it has none.")
    start_timeout_s: float = Field(
        default=30.0, gt=0, le=120, description="Seconds until the server must have said what it offers."
    )
    allow_private: bool = Field(
        default=True, description="Whether `url` may lead to this machine or into a private network."
    )
    allow_link_local: bool = Field(
        default=False, description="Whether `url` may lead to link-local addresses, and so a cloud's metadata service."
    )


L = TypeVar("L", bound=SkillLimits)


def checked(where: str, limits: type[L], configuration: JsonObject) -> L:
    """The configuration, typed; `where` names what it is of.

    Raises:
        Invalid: a key or value is wrong; the detail names the key, the fix what is allowed.
    """
    try:
        return limits.model_validate(configuration)
    except ValidationError as error:
        raise _invalid(where, limits, error) from None


def _invalid(where: str, limits: type[SkillLimits], error: ValidationError) -> Invalid:
    problem = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(map(str, problem["loc"]))
    known = ", ".join(sorted(limits.model_fields))
    if problem["type"] == "extra_forbidden":
        return Invalid(f"{where} has no setting {key!r}", fix=f"Use only: {known}")
    field = limits.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    meaning = field.description if field else f"Send an object with any of: {known}"
    return Invalid(f"setting {key!r} of {where}: {problem['msg']}", fix=meaning)
