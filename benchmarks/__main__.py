"""`python -m benchmarks`: measure, show, keep."""

import argparse
import importlib
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

from . import table
from .effort import FULL, QUICK
from .figures import Figure

NAMES = (
    *("submit", "throughput", "tokens", "spacing", "gateway", "litellm"),
    *("startup", "memory", "growth", "failover", "pages", "logs"),
)


def main() -> None:
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    effort = QUICK if options.quick else FULL
    figures: list[Figure] = []
    for name in options.only or NAMES:
        began = time.monotonic()
        figures += _run(importlib.import_module(f".{name}", __package__).measure(effort))
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    table.show(figures)
    print(f"kept in {table.keep(figures, options.json)}")


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Unwind, so that every process that was started is ended."""
    sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=NAMES, action="append", help="only this one; repeatable")
    parser.add_argument("--quick", action="store_true", help="fewer samples: a first impression")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are kept (default: results/)")
    return parser


def _run(measuring: Coroutine[Any, Any, list[Figure]]) -> list[Figure]:
    # The client is on the same cores as what it measures: the faster loop leaves more of them to it.
    import uvloop

    return uvloop.run(measuring)


if __name__ == "__main__":
    main()
