"""An installation of workers in a cluster, and what everything of it is called."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import kubiya_workers
from kubiya_workers.contracts.errors import Invalid

if TYPE_CHECKING:
    from .values import Values

APP = "kubiya-worker"
NAMESPACE = "kubiya"
MANAGER = "kubiya"
"""The field manager by whose name a cluster remembers which fields are ours."""
APP_LABEL = "app"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
QUEUE = "io.kubiya.worker/queue"
"""An annotation: a queue's name may end as no label does."""
CONTAINER = "worker"

LONGEST = 51
"""Of an installation's name: what is derived from it has to fit into 63 characters, too."""
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def name_of(queue: str) -> str:
    """The name of a queue's installation, as clusters allow names; two queues never have the same."""
    plain = re.sub(r"[^a-z0-9-]+", "-", queue.lower()).strip("-")
    name = f"{APP}-{plain}" if plain else APP
    if plain == queue and len(name) <= LONGEST:
        return name
    told = hashlib.sha256(queue.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{told}"


def check_name(what: str, name: str, longest: int = 63) -> str:
    """A name that a cluster takes.

    Raises:
        Invalid: it is none.
    """
    if _DNS.fullmatch(name) is None or len(name) > longest:
        raise Invalid(f"{what} {name!r} is not a name that Kubernetes takes: up to {longest} of a-z, 0-9 and -")
    return name


@dataclass(frozen=True)
class Installation:
    """`key` is the worker's key, None where an existing Secret has it; `secrets` are settings that are secret, too."""

    name: str
    namespace: str
    values: "Values"
    key: str | None = field(default=None, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    default_secret: str = ""
    """What its own Secret is called where that is not derived from its name."""
    managed_by: str = MANAGER
    """Who looks after it: only what is ours is changed, or taken away, by us."""

    @property
    def secret(self) -> str:
        return self.values.secret.name or self.own_secret

    @property
    def own_secret(self) -> str:
        return self.default_secret or f"{self.name}-secrets"

    @property
    def config(self) -> str:
        return f"{self.name}-config"

    @property
    def authorities(self) -> str:
        return f"{self.name}-authorities"

    @property
    def metrics(self) -> str:
        return f"{self.name}-metrics"

    @property
    def autoscaler(self) -> str:
        return f"{self.name}-hpa"

    @property
    def fixed(self) -> bool:
        """Whether the number of its pods is ours to say."""
        return not self.values.autoscaling.by

    @property
    def selector(self) -> dict[str, str]:
        return {APP_LABEL: APP, INSTANCE_LABEL: self.name}

    @property
    def labels(self) -> dict[str, str]:
        return {
            **self.selector,
            MANAGED_BY_LABEL: self.managed_by,
            "app.kubernetes.io/version": kubiya_workers.__version__,
        }

    @property
    def annotations(self) -> dict[str, str]:
        return {QUEUE: self.values.queue}
