"""The worker's connection to Temporal, and the server's own word on whether we poll."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, TLSConfig
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from kubiya_workers.contracts.errors import Refusal, Unauthorized, Unavailable
from kubiya_workers.contracts.workers import Registered
from kubiya_workers.settings.server import TemporalSettings

# A wrong token or host makes the SDK retry for ever: this is how long a worker tries before it says so.
CONNECT_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 2.0
_POLL_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


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
        pollers = await asyncio.gather(*(self._pollers(kind) for kind in _POLL_KINDS))
        return all(any(poller.identity == self.identity for poller in kind) for kind in pollers)

    async def _pollers(self, kind: TaskQueueType.ValueType) -> list[PollerInfo]:
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace, task_queue=TaskQueue(name=self.task_queue), task_queue_type=kind
        )
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                answer = await self.client.workflow_service.describe_task_queue(request, retry=False)
        except (RPCError, TimeoutError) as error:
            raise Unavailable(f"Temporal does not answer: {error}") from error
        return list(answer.pollers)


async def connect(
    registered: Registered, tls: TemporalSettings, converter: DataConverter, *, identity: str
) -> Connection:
    """Connect, and make sure that the namespace lets us in.

    Raises:
        Unauthorized: the credentials are refused.
        Unavailable: nothing answers there, or it is not Temporal, or the namespace does not exist.
    """
    where = f"{registered.temporal_host} (namespace {registered.temporal_namespace})"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            client = await Client.connect(
                registered.temporal_host,
                namespace=registered.temporal_namespace,
                api_key=registered.temporal_api_key,
                tls=_tls(registered, tls),
                data_converter=converter,
                identity=identity,
            )
            connection = Connection(client, registered.task_queue_name, identity)
            await connection.is_polling()
    except TimeoutError:
        raise Unavailable(f"Temporal at {where} did not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
    except RPCError as error:
        raise _refusal(where, error) from error
    except RuntimeError as error:  # The SDK's word for a connection that cannot be made.
        raise Unavailable(f"cannot connect to Temporal at {where}: {error}") from error
    return connection


def _refusal(where: str, error: RPCError) -> Refusal:
    denied = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)
    kind = Unauthorized if error.status in denied else Unavailable
    return kind(f"Temporal at {where} refused this worker: {error.message}")


def _tls(registered: Registered, settings: TemporalSettings) -> TLSConfig | bool:
    if not (registered.temporal_tls or settings.tls):
        return False
    return TLSConfig(
        server_root_ca_cert=_read(settings.tls_ca),
        client_cert=_read(settings.tls_cert),
        client_private_key=_read(settings.tls_key),
        domain=settings.tls_server_name,
    )


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
