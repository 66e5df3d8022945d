"""What an installation is made of: the values of the Helm chart, of `--values FILE`, and of the flags between them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from kubiya_workers.contracts.ids import NAME_RULE, is_safe_name
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.proxies import is_loopback
from kubiya_workers.settings.quantities import show_size, size
from kubiya_workers.settings.source import BadSetting, address, url

from ..docker.spec import FOR_WORKERS, IMAGE, STOP_S

Q = TypeVar("Q")

OF_THE_POD: tuple[v.AnyVariable, ...] = (
    v.MEMORY_LIMIT,
    v.CPU_LIMIT,
    v.HEALTH_ADDR,
    v.METRICS_ENABLED,
    v.METRICS_PORT,
    v.WORKER_HOSTNAME,
    v.SINGLE_EXECUTION,
    v.WEBUI,
    v.QUEUE_ID,
    v.CONTROL_PLANE_URL,
    v.BASE_URL,
    v.GATEWAY_URL,
    v.API_KEY,
    v.HOME,
)
"""What a pod is told by other values, or by the cluster: no settings that can be given."""
_ANY_SIZE = size(1, 1024**6)


class Autoscaler(StrEnum):
    NONE = ""
    CPU = "cpu"
    """A HorizontalPodAutoscaler on CPU and memory."""
    BACKLOG = "backlog"
    """KEDA, on the tasks that wait in the queue and the runs that are under way."""


def _queue(name: str) -> str:
    if not is_safe_name(name):
        raise ValueError(f"cannot name a queue: {NAME_RULE}")
    return name


def _quantity(parse: Callable[[str], Q]) -> Callable[[str], str]:
    """Checked, and kept as it was written."""

    def checked(word: str) -> str:
        try:
            parse(word)
        except ValueError as error:
            raise ValueError(f"must be {error}") from None
        return word

    return checked


Cpu = Annotated[str, AfterValidator(_quantity(v.CPU_LIMIT.parse))]
Memory = Annotated[str, AfterValidator(_quantity(v.MEMORY_LIMIT.parse))]


def _reachable(value: str) -> str:
    """An address that pods can reach, as far as one can see."""
    if is_loopback(urlsplit(url(value)).hostname or ""):
        raise ValueError("is an address of one machine alone; --control-plane-url says by which pods reach it")
    return url(value)


def _temporal(value: str) -> str:
    if value and is_loopback(address(value).rpartition(":")[0].strip("[]")):
        raise ValueError("is an address of one machine alone, which no pod can reach")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True
    )


P = TypeVar("P", bound=_Part)


class Limits(_Part):
    cpu: Cpu = "1000m"
    memory: Memory = "2Gi"


class Requests(_Part):
    cpu: str = "250m"
    memory: str = "512Mi"


class Resources(_Part):
    requests: Requests = Requests()
    limits: Limits = Limits()

    @classmethod
    def within(cls, cpu: str, memory: str) -> "Resources":
        """These limits, and a quarter of them as requests: workers mostly wait for models.

        Raises:
            BadSetting: they are none.
        """
        limits = _checked(Limits, {"cpu": cpu, "memory": memory}, "", ("resources", "limits"))
        millis = max(1, round(v.CPU_LIMIT.parse(limits.cpu) * 250))
        quarter = v.MEMORY_LIMIT.parse(limits.memory) // 4
        exact = show_size(quarter)
        whole = exact if _ANY_SIZE(exact) == quarter else f"{quarter // 2**20}Mi"
        return cls(requests=Requests(cpu=f"{millis}m", memory=whole), limits=limits)


class Temporal(_Part):
    """Where KEDA asks for the backlog. `authentication` names a TriggerAuthentication of the namespace."""

    address: Annotated[str, AfterValidator(_temporal)] = ""
    namespace: str = "default"
    task_queue: str = ""
    """The queue's id."""
    authentication: str = ""


class Autoscaling(_Part):
    by: Autoscaler = Autoscaler.NONE
    min_replicas: int = Field(default=2, ge=0)
    max_replicas: int = Field(default=10, ge=1)
    target_queue_size: int = Field(default=5, ge=1)
    """Waiting tasks for each pod, by which KEDA scales."""
    temporal: Temporal = Temporal()

    @model_validator(mode="after")
    def _bounds(self) -> "Autoscaling":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas {self.min_replicas} is more than maxReplicas {self.max_replicas}")
        if self.by is Autoscaler.CPU and self.min_replicas == 0:
            raise ValueError("only autoscaling by backlog can scale to 0 replicas")
        if self.by is Autoscaler.BACKLOG and not (self.temporal.address and self.temporal.task_queue):
            raise ValueError("autoscaling by backlog needs temporal.address (TEMPORAL_HOST) and temporal.taskQueue")
        return self


class Monitoring(_Part):
    enabled: bool = False
    interval: str = Field(default="30s", pattern=r"[0-9]+(s|m|h)")
    labels: dict[str, str] = {}
    """By which your Prometheus selects its ServiceMonitors."""


class SecretChoice(_Part):
    """An existing Secret, by `name`, that has the key; without one it is made with `api_key`."""

    name: str = ""
    key: str = Field(default="api-key", pattern=r"[-._a-zA-Z0-9]+")
    api_key: str = Field(default="", repr=False)


class Network(_Part):
    """What pods may reach; an agent's tools reach what they are made for, so that is everything unless you say."""

    enabled: bool = True
    egress: tuple[JsonObject, ...] = ({},)


class Values(_Part):
    """Everything that can be said of an installation but its name, its namespace and its secrets."""

    queue: Annotated[str, AfterValidator(_queue)]
    control_plane_url: Annotated[str, AfterValidator(_reachable)]
    image: str = Field(default=IMAGE, min_length=1)
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """Unless it is said, the image that is made on one's own machine is never pulled: its name is anybody's."""
    image_pull_secrets: tuple[dict[str, str], ...] = ()
    replicas: int = Field(default=3, ge=0)
    resources: Resources = Resources()
    autoscaling: Autoscaling = Autoscaling()
    monitoring: Monitoring = Monitoring()
    secret: SecretChoice = SecretChoice()
    settings: dict[str, str] = {}
    """A worker's settings, by variable."""
    env: tuple[JsonObject, ...] = ()
    """Variables for its tools, as Kubernetes writes them: `{name, value}` or `{name, valueFrom}`."""
    authorities: str = ""
    """Certificate authorities (PEM) that are trusted instead of the image's."""
    service_account_name: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[JsonObject, ...] = ()
    affinity: JsonObject = {}
    pod_annotations: dict[str, str] = {}
    network_policy: Network = Network()
    termination_grace_period_seconds: int = Field(default=STOP_S, ge=STOP_S)

    @model_validator(mode="after")
    def _settings_that_are_given(self) -> "Values":
        fixed = {variable.name for variable in OF_THE_POD}
        if taken := sorted(fixed & self.settings.keys()):
            raise ValueError(f"settings.{taken[0]} is said by other values, or by the cluster")
        for variable in FOR_WORKERS:
            if (word := self.settings.get(variable.name)) is not None:
                _parsed(variable, word)
        return self


def _parsed(variable: v.AnyVariable, word: str) -> None:
    try:
        variable.parse(word)
    except ValueError as error:
        raise ValueError(f"settings.{variable.name} must be {error}") from None


def of(layers: Mapping[str, Any], file: Path | None = None) -> Values:
    """The values that `layers` say, by their names in a values file, on top of those of the file.

    Raises:
        BadSetting: the file cannot be read, or a value cannot be used; with its place.
    """
    return _checked(Values, _merged(_read(file) if file else {}, layers), f"{file}: " if file else "")


def _checked(kind: type[P], said: Mapping[str, Any], origin: str, within: tuple[str, ...] = ()) -> P:
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(to_camel(str(part)) for part in (*within, *first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise BadSetting(f"{origin}{place}{' ' if place else ''}{_worded(message, place)}") from None


def _worded(message: str, place: str) -> str:
    if message == "Extra inputs are not permitted":
        return "is no value of an installation: docs/kubernetes.md lists them"
    if message == "Field required" and place == "controlPlaneUrl":
        return "is not given: set CONTROL_PLANE_URL, or --control-plane-url, to an address that pods can reach"
    return message[:1].lower() + message[1:]


def read_authorities(file: str | None) -> str | None:
    """The content of a file of certificate authorities; None where none is named.

    Raises:
        BadSetting: it cannot be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8") if file else None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"the authorities in {file} cannot be read: {error}") from None


def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadSetting(f"{file} is no YAML{f' (line {mark.line + 1})' if mark else ''}") from None
    if not isinstance(found, dict | None):
        raise BadSetting(f"{file} is no mapping of names to values")
    return cast("dict[str, Any]", found or {})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, all else of `above` replaces; None says nothing."""
    found = dict(below)
    for name, value in above.items():
        if isinstance(value, Mapping):
            inner = found.get(name)
            found[name] = _merged(inner if isinstance(inner, Mapping) else {}, value)  # pyright: ignore
        elif value is not None:
            found[name] = value
    return found
