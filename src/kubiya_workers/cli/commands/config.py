"""`kubiya config`."""

import click

from kubiya_workers.settings import variables
from kubiya_workers.settings.source import BadSetting, Source

from ..output import Format, output_option, show_plain, table


@click.group("config")
def group() -> None:
    """Which settings are in force, and where from."""


@group.command("show")
@output_option
def show(output: Format) -> int:
    """Show every setting: its value, where it comes from, what it is for. Secrets are masked.

    A value that cannot be used is shown as such, and the exit status is 6.
    """
    rows = [_row(variable, Source.of_process()) for variable in variables.ALL]
    lines = table(("SETTING", "VALUE", "FROM", "MEANING"), [tuple(row.values()) for row in rows])
    show_plain(rows, output, lines)
    return 6 if any(row["from"] == "invalid" for row in rows) else 0


def _row(variable: variables.AnyVariable, source: Source) -> dict[str, str]:
    given = source.environ.get(variable.name, "").strip()
    try:
        value, origin = str(source.get(variable)), "environment" if given else "default"  # pyright: ignore[reportUnknownArgumentType, reportArgumentType]
    except BadSetting as error:
        value, origin = str(error), "invalid"
    if not given:
        value = variable.shown_default or str(variable.default)
    elif variable.secret and origin != "invalid":
        value = "***"
    return {"setting": variable.name, "value": value or "(unset)", "from": origin, "meaning": variable.meaning}
