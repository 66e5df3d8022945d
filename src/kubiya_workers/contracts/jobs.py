"""Jobs: executions that begin by a schedule, by a webhook or by hand, and what became of each time that one was due."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from .agents import ExecutionEnvironment
from .executions import Status
from .ids import ExecutionId, FiringId, JobId, KeyId
from .wire import JsonObject, Timestamp, Wire

DAY_S = 86_400


class TriggerType(StrEnum):
    CRON = "cron"
    WEBHOOK = "webhook"
    MANUAL = "manual"


class ExecutorType(StrEnum):
    AUTO = "auto"
    """A queue with a live worker, or else a worker on demand."""
    SPECIFIC_QUEUE = "specific_queue"
    """The queue `worker_queue_name`."""
    ENVIRONMENT = "environment"
    """As auto, within the environment `environment_name`."""


class Overlap(StrEnum):
    """What happens when a job is due while an execution of it still runs."""

    SKIP = "skip"
    ALLOW = "allow"


class Outcome(StrEnum):
    """What became of one time that a job was due."""

    PENDING = "pending"
    """A control plane is about to submit its execution."""
    FIRED = "fired"
    SKIPPED = "skipped"
    """An execution of the job still ran."""
    MISSED = "missed"
    """No control plane ran then."""
    REFUSED = "refused"
    """It could not be submitted; the reason says why."""


class Firing(Wire):
    """One time that a job was due. A missed one stands for `count` times, of which `scheduled_at` is the last.

    `trigger` is what set it off: a job of any type can be triggered by hand.
    """

    id: FiringId
    job_id: JobId
    trigger: TriggerType
    scheduled_at: Timestamp
    created_at: Timestamp
    outcome: Outcome
    reason: str | None = None
    execution_id: ExecutionId | None = None
    execution_status: Status | None = None
    """As it is now; None when there is no execution, or it was deleted."""
    count: int = 1


class Job(Wire):
    """`next_at` is when its schedule is due; None for a job that has none, or is disabled.

    It runs in the name of the key `key_id`: the one that made it, or last changed or enabled it.
    """

    id: JobId
    name: str
    description: str | None = None
    enabled: bool = True
    trigger_type: TriggerType
    cron_schedule: str | None = None
    cron_timezone: str | None = None
    planning_mode: str
    entity_type: Literal["agent", "team"]
    entity_id: str
    entity_name: str | None = None
    prompt_template: str
    system_prompt: str | None = None
    model: str | None = None
    execution_environment: ExecutionEnvironment | None = None
    executor_type: ExecutorType = ExecutorType.AUTO
    worker_queue_name: str | None = None
    environment_name: str | None = None
    overlap: Overlap
    catch_up_s: int = 3600
    key_id: KeyId
    next_at: Timestamp | None = None
    created_at: Timestamp
    updated_at: Timestamp


class ShownJob(Job):
    """A job with what is known of it now. `webhook_url` lets its bearer fire the job: only an answer about this one
    job holds it, and only for who may trigger it anyway."""

    webhook_url: str | None = Field(default=None, repr=False)
    webhook_signed: bool = False
    """Deliveries must be signed with a secret that only the sender and the control plane know."""
    variables: tuple[str, ...] = ()
    """What its template asks a trigger by hand for, by name; `payload` of one with a webhook."""
    next_firings: tuple[Timestamp, ...] = ()
    last_firing: Firing | None = None


class NewJob(Wire):
    """`entity_id` names an agent or a team, by id or name. Without `overlap`, a schedule skips and all else is allowed.

    `planning_mode` is `predefined_agent` or `predefined_team`, as the entity: a job runs what is defined already.

    `catch_up_s`: for so many seconds after it was due a firing that was missed is caught up.
    """

    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    enabled: bool = True
    trigger_type: TriggerType
    cron_schedule: str | None = Field(default=None, max_length=200)
    cron_timezone: str | None = Field(default=None, max_length=100)
    planning_mode: str | None = None
    entity_type: Literal["agent", "team"] = "agent"
    entity_id: str
    prompt_template: str = Field(max_length=100_000)
    system_prompt: str | None = None
    model: str | None = None
    execution_environment: ExecutionEnvironment | None = None
    executor_type: ExecutorType = ExecutorType.AUTO
    worker_queue_name: str | None = None
    environment_name: str | None = None
    overlap: Overlap | None = None
    catch_up_s: int = Field(default=3600, ge=0, le=DAY_S)
    webhook_secret: str | None = Field(default=None, min_length=16, max_length=1000, repr=False)
    """What the sender signs deliveries with (X-Hub-Signature-256). It is in no answer."""


class JobPatch(Wire):
    """Only the fields that are set in the request are changed; a `webhook_secret` of null takes it away."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    enabled: bool | None = None
    trigger_type: TriggerType | None = None
    cron_schedule: str | None = Field(default=None, max_length=200)
    cron_timezone: str | None = Field(default=None, max_length=100)
    planning_mode: str | None = None
    entity_type: Literal["agent", "team"] | None = None
    entity_id: str | None = None
    prompt_template: str | None = Field(default=None, max_length=100_000)
    system_prompt: str | None = None
    model: str | None = None
    execution_environment: ExecutionEnvironment | None = None
    executor_type: ExecutorType | None = None
    worker_queue_name: str | None = None
    environment_name: str | None = None
    overlap: Overlap | None = None
    catch_up_s: int | None = Field(default=None, ge=0, le=DAY_S)
    webhook_secret: str | None = Field(default=None, min_length=16, max_length=1000, repr=False)

    def changes(self) -> dict[str, Any]:
        """The fields that the request named, with their new values."""
        return self.model_dump(exclude_unset=True)


class Trigger(Wire):
    """What a job is triggered with by hand: values for its template's own names, and for `payload`."""

    variables: dict[str, str] = {}
    payload: JsonObject | None = None


class Fired(Wire):
    """The answer to a trigger or a delivery: what became of it, at once."""

    firing_id: FiringId
    job_id: JobId
    outcome: Literal[Outcome.PENDING, Outcome.FIRED, Outcome.SKIPPED]
    execution_id: ExecutionId | None = None
    reason: str | None = None
