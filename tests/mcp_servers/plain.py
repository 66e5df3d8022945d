"""A server of the first revision of the protocol, without the SDK, with one tool: `echo`, which dies
of the text "die" and sleeps at "sleep".

Its behaviour is its argument: `works`, `hangs`, `nonsense` (prints a banner, then works), `fails` (to start),
`refuses` (to be initialized), `odd` (lists what is no schema).
"""

import json
import os
import sys
import time
from typing import Any

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
ODD = [
    {"name": "far", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}},
    {"name": "wrong", "inputSchema": {"type": "object", "properties": {"a": {"type": 7}}}},
    {"name": "hidden\u202eeman", "description": "a\x1b[31m\u200bb", "inputSchema": {"type": "object"}},
]


def answer(method: str, params: dict[str, Any], how: str) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": "2024-11-05",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "plain", "version": "1"},
            }
        case "tools/list":
            tools = ODD if how == "odd" else [{"name": "echo", "description": "Says it again.", "inputSchema": SCHEMA}]
            return {"tools": tools}
        case "tools/call":
            if params["arguments"]["text"] == "die":
                os._exit(3)
            if params["arguments"]["text"] == "sleep":
                time.sleep(600)
            text = (
                f"{params['arguments']['text']} {params.get('_meta', {}).get('kubiya/idempotency-key')} {os.getcwd()}"
            )
            return {"content": [{"type": "text", "text": text}]}
        case _:
            return None


def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else "works"
    if how == "fails":
        sys.exit(f"no database for {os.environ.get('NOTES_TOKEN')}")
    if how == "hangs":
        print("waiting for the world", file=sys.stderr, flush=True)
        time.sleep(600)
    if how == "nonsense":
        print("Welcome to plain!", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        result = None if how == "refuses" else answer(request["method"], request.get("params", {}), how)
        said = {"error": {"code": -32601, "message": "not today"}} if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **said}), flush=True)


if __name__ == "__main__":
    main()
