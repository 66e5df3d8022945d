"""`~/.kubiya/environment.json`: variables that were set once for every process of a home; the environment wins.

Only what a process reads through `settings` can be saved: what says where the home is, what other programs read from
the environment themselves, and what is about one process alone cannot.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

NAME = "environment.json"
_HOME = "KUBIYA_HOME"

FIXED = frozenset(
    {
        *(_HOME, "KUBIYA_CONFIG", "KUBIYA_CONTEXT", "NO_COLOR"),
        # Which control plane, and as whom: a context says that, for all of its settings together.
        *("KUBIYA_API_KEY", "KUBIYA_CONTROL_PLANE_BASE_URL", "CONTROL_PLANE_GATEWAY_URL", "CONTROL_PLANE_URL"),
        # One process alone.
        *("QUEUE_ID", "SINGLE_EXECUTION", "KUBIYA_READY_FD", "KUBIYA_LOG_FILE", "KUBIYA_ENV_FILE"),
        # Read from the environment by the programs that use them.
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
        *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"),
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        # Whoever may change these may let others in.
        *("KUBIYA_WEBUI_HOST", "KUBIYA_WEBUI_ALLOWED_HOSTS"),
    }
)
"""Variables that are not saved, and not heeded where a file names them."""


def file_of(environ: Mapping[str, str]) -> Path:
    named = environ.get(_HOME, "").strip()
    return (Path(named).expanduser() if named else Path.home() / ".kubiya") / NAME


def read(file: Path) -> dict[str, str]:
    """What a file says; nothing when there is none, or it cannot be understood: `kubiya doctor` says so then."""
    try:
        found: object = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    named = cast("dict[str, object]", found)
    return {name: value for name, value in named.items() if isinstance(value, str) and name not in FIXED}


def as_text(values: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(values.items())), indent=2, ensure_ascii=False) + "\n"
