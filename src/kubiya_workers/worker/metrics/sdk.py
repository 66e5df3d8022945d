"""Temporal's own metrics: the SDK serves them on loopback, and one scrape shows them with ours."""

import http.client
import urllib.request

TIMEOUT_S = 1.0
_LARGEST = 8 * 1024 * 1024
# A proxy of the environment is for the world outside.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetched(url: str) -> bytes:
    """The SDK's page, ending in a line end; empty when it does not answer: a scrape without it is better than none."""
    try:
        with _OPENER.open(url, timeout=TIMEOUT_S) as answer:
            page: bytes = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException):
        return b""
    # Cut at the last whole line, should it ever be larger.
    return page[: page.rfind(b"\n") + 1]
