"""The connection to Temporal, tried once before anything depends on it: a wrong address, key or certificate is said
at once, with what to do, where the SDK alone would try for ever."""

import asyncio
from datetime import timedelta

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from kubiya_workers.client.temporal_proxy import tunnel
from kubiya_workers.client.temporal_runtime import runtime
from kubiya_workers.client.temporal_tls import plainly, tls_config
from kubiya_workers.contracts.errors import NotFound, Refusal, Unauthorized, Unavailable
from kubiya_workers.settings.server import TemporalSettings

PROBE_LIMIT_S = 5.0
# A caller waits for these: what takes longer is told to them, and tried again by the reconciler.
_RETRIES = RetryConfig(max_elapsed_time_millis=3_000, max_retries=8)
_REFUSED = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)


async def connect(settings: TemporalSettings, converter: DataConverter) -> Client:
    """A client whose namespace has answered; `settings.host` is set.

    Raises:
        Unauthorized, NotFound, Unavailable: see `TemporalEngine.connect`.
        BadSetting: a certificate cannot be read.
    """
    assert settings.host is not None  # the embedded server's address is filled in by then
    tls = tls_config(settings, wanted=settings.tls)
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            client = await Client.connect(
                settings.host,
                namespace=settings.namespace,
                api_key=settings.api_key,
                tls=tls,
                data_converter=converter,
                retry_config=_RETRIES,
                runtime=runtime(),
                http_connect_proxy_config=tunnel(settings.host, settings.proxies),
            )
            await _probe(client)
    except TimeoutError:
        raise _unreachable(settings, f"no answer within {PROBE_LIMIT_S:.0f} s") from None
    except RPCError as error:
        raise _refusal(settings, error) from error
    except (RuntimeError, ValueError) as error:  # what the native client raises for addresses and certificates
        raise _of_native(settings, str(error)) from error
    return client


async def _probe(client: Client) -> None:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    await client.workflow_service.describe_namespace(request, timeout=timedelta(seconds=PROBE_LIMIT_S))


def _refusal(settings: TemporalSettings, error: RPCError) -> Refusal:
    if error.status in _REFUSED:
        return Unauthorized(
            f"Temporal at {settings.host} refuses the credentials: {error.message}",
            fix=f"check TEMPORAL_API_KEY or the TEMPORAL_TLS_ files, and their right to namespace {settings.namespace}",
        )
    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound(
            f"Temporal at {settings.host} has no namespace {settings.namespace}",
            fix="set TEMPORAL_NAMESPACE to one that exists, or create it there",
        )
    return _unreachable(settings, f"{error.status.name.lower()}: {error.message}")


def _of_native(settings: TemporalSettings, text: str) -> Refusal:
    for status in _REFUSED:
        if status.name in text.upper() or status.name.replace("_", "") in text.upper():
            return Unauthorized(f"Temporal at {settings.host} refuses the credentials", fix="check TEMPORAL_API_KEY")
    return _unreachable(settings, plainly(text))


def _unreachable(settings: TemporalSettings, why: str) -> Unavailable:
    tls = "with" if settings.tls else "without"
    return Unavailable(
        f"Temporal at {settings.host} cannot be reached {tls} TLS: {why}",
        fix="check TEMPORAL_HOST (host:port) and TEMPORAL_TLS; unset TEMPORAL_HOST to use the embedded one",
    )
