"""Run AI agents as durable workflows on workers that you own."""

import sys
from typing import Any, cast

__version__ = "0.1.0"

# httpx loads its own command line with itself, and with that Rich and Pygments where they are installed: 40 ms and 6 MB
# of each process. What is None here cannot be imported, and httpx does without.
cast("dict[str, Any]", sys.modules).setdefault("httpx._main", None)
