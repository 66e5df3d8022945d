"""The worker's connection to Temporal, and the server's own word on whether we poll."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListTaskQueuePartitionsRequest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import HttpConnectProxyConfig, RPCError, RPCStatusCode

from kubiya_workers.client import temporal_runtime
from kubiya_workers.client.temporal_tls import plainly, tls_config
from kubiya_workers.contracts.errors import Refusal, Unauthorized, Unavailable
from kubiya_workers.contracts.workers import Registered
from kubiya_workers.settings.server import TemporalSettings

# A wrong token or host makes the SDK retry for ever: this is how long a worker tries before it says so.
CONNECT_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 2.0
_POLL_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)

PollKind = Literal["workflow", "activity"]


@dataclass(frozen=True)
class Backlog:
    """Tasks of one kind that wait in a queue, about; `age_s` is how long the oldest has."""

    tasks: int = 0
    age_s: float = 0.0


@dataclass(frozen=True)
class Connection:
    """One client of one namespace; `identity` is how the server names this worker's pollers."""

    client: Client
    task_queue: str
    identity: str

    async def is_polling(self) -> bool:
        """Whether the server counts this worker among the pollers of its queue, for both kinds of task.

        Raises:
            Unavailable: the server does not answer.
        """
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return all(await asyncio.gather(*map(self._polls, _POLL_KINDS)))
        except (RPCError, TimeoutError) as error:
            raise Unavailable(f"Temporal does not answer: {error}") from error

    async def backlog(self) -> Mapping[PollKind, Backlog]:
        """What waits in the queue. The server counts on its partitions: ask for it every 15 s, not every second.

        Raises:
            Unavailable: the server does not answer.
        """
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                workflow, activity = await asyncio.gather(*map(self._waiting, _POLL_KINDS))
        except (RPCError, TimeoutError) as error:
            raise Unavailable(f"Temporal does not answer: {error}") from error
        return {"workflow": workflow, "activity": activity}

    async def _waiting(self, kind: TaskQueueType.ValueType) -> Backlog:
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=self.task_queue),
            task_queue_type=kind,
            report_stats=True,
        )
        answer = await self.client.workflow_service.describe_task_queue(request, retry=False)
        age = answer.stats.approximate_backlog_age
        return Backlog(answer.stats.approximate_backlog_count, age.seconds + age.nanos / 1e9)

    async def _polls(self, kind: TaskQueueType.ValueType) -> bool:
        if await self._is_listed(self.task_queue, kind):
            return True
        # A queue has several partitions, and each lists only its own pollers: ours may all be elsewhere.
        others = [key for key in await self._partitions(kind) if key != self.task_queue]
        return any(await asyncio.gather(*(self._is_listed(key, kind) for key in others)))

    async def _partitions(self, kind: TaskQueueType.ValueType) -> list[str]:
        request = ListTaskQueuePartitionsRequest(
            namespace=self.client.namespace, task_queue=TaskQueue(name=self.task_queue)
        )
        found = await self.client.workflow_service.list_task_queue_partitions(request, retry=False)
        is_workflow = kind == TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        listed = found.workflow_task_queue_partitions if is_workflow else found.activity_task_queue_partitions
        return [partition.key for partition in listed]

    async def _is_listed(self, partition: str, kind: TaskQueueType.ValueType) -> bool:
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace, task_queue=TaskQueue(name=partition), task_queue_type=kind
        )
        answer = await self.client.workflow_service.describe_task_queue(request, retry=False)
        return any(poller.identity == self.identity for poller in answer.pollers)


async def connect(
    registered: Registered,
    settings: TemporalSettings,
    converter: DataConverter,
    *,
    identity: str,
    through: HttpConnectProxyConfig | None = None,
    measured: bool = False,
) -> Connection:
    """Connect, and make sure that the namespace lets us in. `through`: see `passage.way_to_temporal`; `measured`: with
    the SDK's own metrics.

    Raises:
        Unauthorized: the credentials are refused.
        Unavailable: nothing answers there, or it is not Temporal, or the namespace does not exist.
        BadSetting: a certificate cannot be read.
    """
    where = f"{registered.temporal_host} (namespace {registered.temporal_namespace})"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            client = await Client.connect(
                registered.temporal_host,
                namespace=registered.temporal_namespace,
                api_key=registered.temporal_api_key,
                tls=tls_config(settings, wanted=registered.temporal_tls or settings.tls),
                http_connect_proxy_config=through,
                data_converter=converter,
                identity=identity,
                runtime=temporal_runtime.measured().runtime if measured else temporal_runtime.runtime(),
            )
            connection = Connection(client, registered.task_queue_name, identity)
            await connection.is_polling()
    except TimeoutError:
        raise Unavailable(f"Temporal at {where} did not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
    except RPCError as error:
        raise _refusal(where, error) from error
    except RuntimeError as error:  # The SDK's word for a connection that cannot be made.
        raise Unavailable(f"cannot connect to Temporal at {where}: {plainly(str(error))}") from error
    return connection


def _refusal(where: str, error: RPCError) -> Refusal:
    denied = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)
    kind = Unauthorized if error.status in denied else Unavailable
    return kind(f"Temporal at {where} refused this worker: {error.message}")
