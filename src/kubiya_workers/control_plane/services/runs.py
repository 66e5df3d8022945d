"""From an `execute` request to all that a run needs: the agent as it is now, its tools, its queue, its workspace."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent import mcp
from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.agents import Agent, AgentSpec, ExecutionEnvironment, Limits
from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT, Environment
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.contracts.executions import Execution, NewExecution, Status
from kubiya_workers.contracts.ids import ExecutionId, JobId, KeyId
from kubiya_workers.contracts.mcp import MCP, McpServer
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.teams import Member, Team
from kubiya_workers.contracts.tools import ToolSpec, Workspace
from kubiya_workers.contracts.wire import JsonObject

from ..store import agents, environments, queues, skills, workers
from ..store import provisions as provision_store
from ..store.database import Database
from . import provisions
from .models import Models, check_for
from .provisions import Demand

InTransaction = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True)
class Plan:
    """Everything of a run that is settled before it is stored."""

    entity: Agent | Team
    agent: AgentSpec
    queue: Queue
    workspace: Workspace
    interactive: bool
    demand: Demand | None = None
    """That it needs a worker of its own: then `queue` is that one's."""
    members: tuple[Member, ...] = ()
    """Of a team, whose coordinator `agent` then is."""

    @property
    def task_queue(self) -> str:
        return self.queue.task_queue_name

    def settle_demand(self, execution_id: ExecutionId) -> InTransaction | None:
        """What belongs to the transaction that stores the run; it raises `Taken` where somebody was faster."""
        if self.demand is None:
            return None
        return partial(provisions.settle, demand=self.demand, queue=self.queue, execution_id=execution_id)

    @property
    def kind(self) -> Literal["agent", "team"]:
        return "team" if isinstance(self.entity, Team) else "agent"

    def execution(
        self,
        execution_id: ExecutionId,
        new: NewExecution,
        key_id: KeyId | None,
        now: datetime,
        job_id: JobId | None = None,
    ) -> Execution:
        return Execution(
            id=execution_id,
            execution_id=execution_id,
            execution_type=self.kind,
            entity_id=self.entity.id,
            entity_name=self.entity.name,
            prompt=new.prompt,
            system_prompt=self.agent.system_prompt or None,
            status=Status.PENDING,
            status_reason="a worker on demand" if self.demand else f"a worker on queue {self.queue.name}",
            model=self.agent.model,
            execution_metadata={**new.user_metadata, **new.execution_metadata},
            worker_queue_id=self.queue.id,
            parent_execution_id=new.parent_execution_id,
            team_name=self.entity.name if self.kind == "team" else None,
            key_id=key_id,
            job_id=job_id,
            created_at=now,
            updated_at=now,
        )


@dataclass(frozen=True)
class Place:
    """Where a run takes place: its queue, that queue's environment, and the worker that it needs of its own."""

    queue: Queue
    environment: Environment | None
    demand: Demand | None

    def around(self, servers: tuple[McpServer, ...], *layers: ExecutionEnvironment | None) -> "Around":
        """Of what runs here: later layers win, all of them over the environment's own, and their MCP servers over
        those of skills, `servers`. Raises Invalid for a server that cannot be."""
        own = self.environment.execution_environment if self.environment else None
        present = [layer for layer in (own, *layers) if layer is not None]
        merged = mcp.merged(servers, *(mcp.of_environment(layer.mcp_servers) for layer in present))
        return Around(_workspace(present, merged), merged)


@dataclass(frozen=True)
class Around:
    """What surrounds the tools of a run: their directory and variables, and the MCP servers that it has."""

    workspace: Workspace
    servers: tuple[McpServer, ...]


async def plan(database: Database, agent_ref: str, new: NewExecution, models: Models, *, on_demand: bool) -> Plan:
    """Settle what runs, where and with what; `on_demand`: a worker is started for it where none is live.

    Raises:
        NotFound: no such agent, queue or environment.
        Conflict: no queue was named, none has a live worker, and none is started.
        Invalid: limits, a skill's configuration or an MCP server are wrong, or there is no such model.
    """
    async with database.reading() as connection:
        entity = await agents.find(connection, agent_ref)
        if entity is None:
            raise NotFound(f"no agent {agent_ref!r}", fix="List them with: kubiya agent list")
        place = await placed(connection, new, on_demand=on_demand)
        kit = await kit_of(connection, entity)
    around = place.around(kit.servers, entity.execution_environment, new.execution_environment)
    spec = spec_of(
        entity,
        models,
        kit.tools,
        around.servers,
        model=new.model,
        system_prompt=new.system_prompt,
        limits=new.limits,
    )
    if not new.skip_model_validation:
        await check_models(database, models, place.queue, spec)
    return Plan(
        entity=entity,
        agent=spec,
        queue=place.queue,
        workspace=around.workspace,
        interactive=is_interactive(new),
        demand=place.demand,
    )


def is_interactive(new: NewExecution) -> bool:
    return bool(new.execution_metadata.get("interactive", False))


async def check_models(database: Database, models: Models, queue: Queue, *specs: AgentSpec) -> None:
    """Raises `Invalid` for a model that somebody asked for and that the live workers of the queue cannot call."""
    asked = {spec.model for spec in specs if not spec.model_is_default}
    if not asked:
        return
    async with database.reading() as connection:
        live = await workers.list_(connection, queue_id=queue.id, live=True)
    for model in sorted(asked):
        await check_for(models, model, live)


async def placed(connection: AsyncConnection, new: NewExecution, *, on_demand: bool) -> Place:
    """Raises `NotFound` or `Conflict`, as `plan` does."""
    queue, demand = await _place(connection, new, on_demand)
    return Place(queue, await environments.get(connection, queue.environment_id), demand)


async def _place(connection: AsyncConnection, new: NewExecution, on_demand: bool) -> tuple[Queue, Demand | None]:
    """The queue that is named, else one whose worker is live, else one that is made for it."""
    if new.worker_queue_id is not None:
        return await _named(connection, new.worker_queue_id), None
    wanted = None if new.environment_id is None else await _environment(connection, new.environment_id)
    within = wanted.id if wanted else None
    served = await workers.queue_of_newest_live(connection, within, or_paused=not on_demand)
    if served is not None and (found := await queues.find(connection, served)):
        return found, None
    if on_demand:
        home = wanted or await _environment(connection, DEFAULT_ENVIRONMENT)
        warm = await provision_store.free(connection, home.id)
        made = provisions.queue_for(home.id) if warm is None else provisions.queue_for(home.id, warm[1], warm[0])
        return made, Demand(is_warm=warm is not None, keep=new.keep_on_failure)
    if wanted is not None:
        return await _of(connection, wanted), None
    raise Conflict(
        "no worker is live on any queue, and this control plane starts none on demand",
        fix="Run it on this machine with --local, or start a worker: "
        "kubiya worker start --queue-id=my-queue --type=local",
    )


async def _named(connection: AsyncConnection, ref: str) -> Queue:
    found = await queues.find(connection, ref)
    if found is None:
        raise NotFound(
            f"no worker queue {ref!r}", fix=f"Start a worker on it: kubiya worker start --queue-id={ref} --type=local"
        )
    return found


async def _environment(connection: AsyncConnection, ref: str) -> Environment:
    found = await environments.find(connection, ref)
    if found is None:
        raise NotFound(f"no environment {ref!r}", fix="List them with: kubiya environment list")
    return found


async def _of(connection: AsyncConnection, environment: Environment) -> Queue:
    """A queue of the environment: what is given to it waits for its worker."""
    found = await queues.list_(connection, environment_id=environment.id, limit=1)
    if not found:
        raise NotFound(
            f"environment {environment.name!r} has no queue",
            fix=f"Make one: kubiya queue create NAME --environment {environment.name}",
        )
    return found[0]


@dataclass(frozen=True)
class Kit:
    """What an agent's skills give it: tools, and the servers whose tools its worker will learn of."""

    tools: tuple[ToolSpec, ...]
    servers: tuple[McpServer, ...]


async def kit_of(connection: AsyncConnection, agent: Agent) -> Kit:
    tools: dict[str, ToolSpec] = {}
    servers: list[McpServer] = []
    found = await skills.find_all(connection, agent.skill_ids)
    for skill_id, skill in zip(agent.skill_ids, found, strict=True):
        if skill is None:
            raise Conflict(f"agent {agent.name!r} has a skill {skill_id!r} that does not exist any more")
        if skill.enabled and skill.type == MCP:
            servers.append(mcp.of_skill(skill.name, skill.configuration))
        elif skill.enabled:
            tools |= {tool.name: tool for tool in tools_for(skill.type, skill.configuration)}
    return Kit(tuple(tools.values()), tuple(servers))


def spec_of(
    entity: Agent | Team,
    models: Models,
    tools: tuple[ToolSpec, ...],
    servers: tuple[McpServer, ...],
    *,
    model: str | None,
    system_prompt: str | None = None,
    limits: JsonObject,
    fallback: str | None = None,
) -> AgentSpec:
    """An agent or coordinator as one run has it. What is given wins over its own; `fallback` is the model where
    neither names one, before the control plane's default."""
    asked = model or entity.model_id or fallback
    chosen = asked or models.default()
    return AgentSpec(
        name=entity.name,
        system_prompt=system_prompt or entity.system_prompt or "",
        model=chosen,
        model_is_default=asked is None,
        price=models.price_of(chosen),
        tools=tools,
        mcp_servers=servers,
        limits=_limits({**entity.configuration.get("limits", {}), **limits}),
        temperature=entity.llm_config.get("temperature"),
        max_output_tokens=entity.llm_config.get("max_tokens"),
    )


def _limits(wanted: JsonObject) -> Limits:
    unknown = wanted.keys() - Limits.model_fields.keys()
    if unknown:
        raise Invalid(f"unknown limit {min(unknown)!r}", fix="Known limits: " + ", ".join(Limits.model_fields))
    try:
        return Limits.model_validate(wanted)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"limit {first['loc'][0]}: {first['msg']}") from None


def _workspace(layers: Sequence[ExecutionEnvironment], servers: Sequence[McpServer]) -> Workspace:
    """What an MCP server is given as a key or a token is a secret, whoever forgot to say so."""
    directories = [layer.working_dir for layer in layers if layer.working_dir]
    named = [name for layer in layers for name in layer.secrets]
    used = sorted({name for server in servers for name in mcp.secret_variables(server)})
    return Workspace(
        working_dir=directories[-1] if directories else None,
        env_vars={name: value for layer in layers for name, value in layer.env_vars.items()},
        secrets=tuple(dict.fromkeys((*named, *used))),
    )
