"""Fakes that ship with the product, for its own tests and benchmarks and for the tests of those who build on it.

`scripted_model` is a real OpenAI-compatible HTTP server that answers from a script (`scripted_replies`) over a small
HTTP/1.1 server of its own (`scripted_http`): no model, no cost, no randomness, next to no CPU.

    with ScriptedModel([tool("shell", {"command": "ls"}), "Two files."]) as model:
        ...  # point KUBIYA_LLM_BASE_URL at model.url
    assert model.requests[0].body["model"] == "m"
"""

from .scripted_model import Recorded, ScriptedModel
from .scripted_replies import Break, Call, Reply, closes, error, garbles, reports, stalls, tool

__all__ = [
    "Break",
    "Call",
    "Recorded",
    "Reply",
    "ScriptedModel",
    "closes",
    "error",
    "garbles",
    "reports",
    "stalls",
    "tool",
]
