"""One question to an HTTP server of this machine, without the cost of loading an HTTP client."""

import asyncio
from urllib.parse import urlsplit

_LIMIT_S = 2.0


async def status_of(url: str, path: str, *, key: str | None = None) -> int | None:
    """The HTTP status that GET `url` + `path` answers within 2 s; None when there is no answer."""
    answered = await answer(url, path, key=key)
    return None if answered is None else answered[0]


async def answer(url: str, path: str, *, key: str | None = None) -> tuple[int, bytes] | None:
    """Status and body of GET `url` + `path` within 2 s; None when there is no answer, or one that is no HTTP."""
    parts = urlsplit(url)
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    # 1.0, so that the body ends with the connection.
    request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n{authorization}\r\n"
    try:
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                writer.write(request.encode())
                whole = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = whole.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    return (int(words[1]), body) if len(words) > 1 and words[1].isdigit() else None
