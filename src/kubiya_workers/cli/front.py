"""What `kubiya --help` and `kubiya --version` say, from nothing but the table."""

from kubiya_workers import __version__

from .table import COMMANDS

_EXAMPLES = (
    ("kubiya exec --local 'Run `git log --oneline -5`' --yes", "on this machine, cleaned up afterwards"),
    ("kubiya worker start --queue-id=my-queue --type=local", "a worker of yours"),
    ("kubiya exec --queue my-queue 'Run `uname -a`'", "on that worker"),
    ("kubiya execution logs ID --follow", "watch a run"),
    ("kubiya doctor", "when something does not work"),
)


def help_text() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "Usage: kubiya COMMAND …",
        "",
        "  Run AI agents as durable workflows on workers that you own.",
        "",
        "  With no CONTROL_PLANE_URL set, everything runs on this machine.",
        "",
        "Commands:",
        *(f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items()),
        "",
        "Options:",
        "  --version   Show the version and exit.",
        "  -h, --help  Show this, or a command's own help: kubiya exec --help",
        "",
        "Examples:",
    ]
    for example, meaning in _EXAMPLES:
        lines += [f"  {example}", f"      {meaning}"]
    lines += [
        "",
        "Exit status: 0 done, 1 the run failed, 2 wrong usage, 3 authentication, 4 refused by the API,",
        "  5 network, 6 configuration, 130 interrupted.",
    ]
    return "\n".join(lines)


def version_text() -> str:
    return f"kubiya {__version__}"
