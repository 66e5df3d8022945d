"""Figures on a terminal, and in a file for comparing one run with another."""

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .figures import Figure

RESULTS = Path(__file__).parent / "results"


def show(figures: Sequence[Figure]) -> None:
    table = Table("what", "measured", "p99", "budget", "", "n", "note", title=_machine())
    for column in (1, 2, 3, 5):
        table.columns[column].justify = "right"
    for figure in figures:
        kept = {None: "", True: "[green]kept[/]", False: "[red]missed[/]"}[figure.is_kept]
        table.add_row(
            figure.name,
            _number(figure.value, figure.unit),
            "" if figure.p99 is None else _number(figure.p99, figure.unit),
            "" if figure.budget is None else ("≥ " if figure.at_least else "≤ ") + _number(figure.budget, figure.unit),
            kept,
            str(figure.samples),
            figure.note,
        )
    Console(width=None if os.isatty(1) else 150).print(table)


def keep(figures: Sequence[Figure], file: Path | None) -> Path:
    """Write the figures as JSON to `file`, or under `results/` with the time as name; where they are."""
    now = datetime.now(UTC)
    path = file or RESULTS / f"{now:%Y-%m-%dT%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**dataclasses.asdict(figure), "kept": figure.is_kept} for figure in figures]
    path.write_text(json.dumps({"at": now.isoformat(), "machine": _machine(), "figures": rows}, indent=2) + "\n")
    return path


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _number(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if value < 100 else f"{value:.0f} {unit}"
