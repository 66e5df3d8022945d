"""Server-sent events of the console."""

from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse

from kubiya_workers.contracts.wire import Wire

KEEP_ALIVE = b": keepalive\n\n"


def event(name: str, data: Wire) -> bytes:
    """One event; JSON holds no line's end of its own."""
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode()


class EventStream(StreamingResponse):
    """Blocks as they come, held up by nobody."""

    def __init__(self, blocks: AsyncGenerator[bytes]) -> None:
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(blocks, headers=headers, media_type="text/event-stream")
