"""Traces of real runs at a collector: complete, late rather than lost, and without what was said."""

from pathlib import Path

from kubiya_workers.testing import ScriptedModel, tool
from tests.collector import attributes, collecting

from .machine import served, until

KEY = "collector-key-123"
CONFIGURATION = 6


def test_a_run_is_one_trace_once_its_collector_answers(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        ScriptedModel({"": [tool("shell", {"command": "echo secret-output"}), "done"]}) as model,
    ):
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {KEY}",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "KUBIYA_LLM_BASE_URL": model.url,
            "KUBIYA_LLM_MODEL": "scripted",
        }
        collector.away = True
        with served(tmp_path, **environ) as machine:
            done = machine.run("exec", "--local", "--yes", "-o", "json", "secret-prompt")
            assert done.returncode == 0, done.stderr
            until(lambda: collector.refused > 0, "a trace was refused")
            log = machine.home / ".kubiya/server/server.log"
            until(lambda: "Traces cannot be delivered" in log.read_text(), "the control plane says so")
            assert KEY not in log.read_text()
            fine = machine.run("server", "stop")
            assert fine.returncode == 0, fine.stderr
            collector.away = False
            fine = machine.run("agent", "list")  # an on-demand server, for the length of a command
            assert fine.returncode == 0, fine.stderr
            with machine.spawn("server", "start"):
                until(lambda: collector.named("invoke_agent default") or collector.spans, "the trace arrives", 40)
        by_id = {span.span_id: span for span in collector.spans}
        assert len({span.trace_id for span in collector.spans}) == 1
        (root,) = {span.span_id: span for span in collector.spans if not span.parent_span_id}.values()
        assert root.name.startswith("invoke_agent ")
        names = sorted(span.name for span in by_id.values())
        assert names == sorted([root.name, "chat scripted", "chat scripted", "execute_tool shell", *STEPS])
        for span in by_id.values():
            assert span is root or span.parent_span_id in by_id
            assert span.start_time_unix_nano <= span.end_time_unix_nano
        usage = attributes(root)
        assert usage["gen_ai.usage.input_tokens"] > 0 and usage["kubiya.execution.status"] == "completed"
        assert collector.resources[0]["service.name"] == "kubiya-control-plane"
        assert collector.resources[0]["deployment.environment.name"] == "test"
        assert collector.headers[0]["authorization"] == f"Bearer {KEY}"
        assert "secret-" not in repr(collector.spans)


STEPS = ("step 1", "step 2", "step 3")


def test_a_protocol_that_is_not_spoken_stops_the_start(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with served(tmp_path) as machine:
        machine.run("server", "stop")
        refused = machine.run("server", "start", env=environ)
        assert refused.returncode == CONFIGURATION
        assert "OTEL_EXPORTER_OTLP_PROTOCOL='grpc'" in refused.stderr and "http/protobuf" in refused.stderr
