"""The entry of the `kubiya` command."""

import os
import sys
from collections.abc import Sequence

from . import front


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        # Answered before anything is imported: people and prompts ask for them all the time.
        case ["--version"]:
            _print(front.version_text())
        case ["--help"] | ["-h"]:
            _print(front.help_text())
        case _:
            if os.getpid() == 1:
                _stand_below_init()
            from .dispatch import run

            sys.exit(run(words))


def _stand_below_init() -> None:
    """The first process of a container has duties of its own."""
    from kubiya_workers.launchers.upkeep.init import become_init_if_first

    become_init_if_first()


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
