"""Every shape of history that was ever released still replays: a change that breaks a running execution fails here."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from kubiya_workers.workflows.execution import ExecutionWorkflow

from .sandbox import SANDBOX
from .shapes import SHAPES

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=[ExecutionWorkflow], workflow_runner=SANDBOX, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


def test_every_shape_is_recorded() -> None:
    assert {path.stem.rsplit(".", 1)[0] for path in HISTORIES} == set(SHAPES)
