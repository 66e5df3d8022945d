"""Bytes that are passed on, both ways at once, until one side has had enough."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

PIECE = 65_536
"""Bytes that are read at once, at most."""


async def until_one_ends(*ways: Awaitable[None], broken: tuple[type[Exception], ...]) -> None:
    """Run the ways until one has ended, and end the others.

    Args:
        broken: what a way raises when its connection broke, which is an end like others.
    """
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        with suppress(*broken):
            task.result()
