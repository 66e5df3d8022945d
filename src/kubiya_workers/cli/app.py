"""The entry of the `kubiya` command."""

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
            from .dispatch import run

            sys.exit(run(words))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        import os

        # Python flushes stdout once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
