"""What of the control plane's API is passed on."""

import pytest

from kubiya_workers.console.forward import is_passed

PASSED = (
    ("GET", "executions"),
    ("GET", "executions/1/stream"),
    ("GET", "executions/activity"),
    ("GET", "models/kubiya/offline"),
    ("GET", "worker-queues/q/metrics"),
    ("POST", "agents/default/execute"),
    ("GET", "teams"),
    ("POST", "teams/release/execute"),
    ("POST", "executions/1/approvals/2"),
    ("POST", "executions/1/message"),
    ("PATCH", "worker-queues/q"),
    ("PUT", "models/default"),
    ("GET", "jobs/nightly/firings"),
    ("POST", "jobs/nightly/trigger"),
    ("POST", "workers/1/pause"),
    ("POST", "workers/1/restart"),
)
REFUSED = (
    ("GET", "keys"),
    ("POST", "keys"),
    ("POST", "keys/enroll"),
    ("POST", "worker-queues/q/start"),
    ("POST", "worker-queues/q/crashes"),
    ("GET", "executions/1/workspace"),
    ("GET", "executions/1/steps/2/result"),
    ("POST", "executions/1/events"),
    ("POST", "events"),
    ("POST", "executions/1/delegations"),
    ("POST", "workers/1/heartbeat"),
    ("POST", "workers/1/disconnect"),
    ("POST", "tickets"),
    ("POST", "tasks/plan"),
    ("POST", "tasks/plan/stream"),
    ("POST", "jobs"),
    ("PATCH", "jobs/nightly"),
    ("POST", "jobs/nightly/rotate-webhook"),
    ("POST", "webhooks/1/token"),
    ("GET", "objects/abc"),
    ("GET", "openapi.json"),
    ("GET", "executions/../keys"),
    ("GET", "models/../keys"),
    ("GET", "agents/./x"),
    ("GET", ""),
)


@pytest.mark.parametrize(("method", "path"), PASSED)
def test_what_pages_need_is_passed(method: str, path: str) -> None:
    assert is_passed(method, path)


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_what_hands_out_secrets_or_is_for_workers_is_not(method: str, path: str) -> None:
    assert not is_passed(method, path)
