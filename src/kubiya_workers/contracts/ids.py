"""Identifiers, and the one rule for names that become paths, task queues and labels."""

import re
import uuid
from typing import NewType

ExecutionId = NewType("ExecutionId", str)
AgentId = NewType("AgentId", str)
TeamId = NewType("TeamId", str)
SkillId = NewType("SkillId", str)
EnvironmentId = NewType("EnvironmentId", str)
QueueId = NewType("QueueId", str)
WorkerId = NewType("WorkerId", str)
KeyId = NewType("KeyId", str)
JobId = NewType("JobId", str)
FiringId = NewType("FiringId", str)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def new_id() -> str:
    """A fresh random UUID in its canonical text form."""
    return str(uuid.uuid4())


def is_safe_name(name: str) -> bool:
    """Whether `name` may name a queue: it becomes a directory, so it cannot climb out of one."""
    return _NAME.fullmatch(name) is not None


NAME_RULE = "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"


def workflow_id(execution_id: ExecutionId) -> str:
    """The Temporal workflow id of an execution; one execution is one workflow id for ever."""
    return f"execution-{execution_id}"
