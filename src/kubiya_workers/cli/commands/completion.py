"""`kubiya completion`."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the completion script for your shell.

    \b
    bash:  kubiya completion bash > ~/.local/share/bash-completion/completions/kubiya
    zsh:   kubiya completion zsh > ~/.zfunc/_kubiya     # with ~/.zfunc in fpath
    fish:  kubiya completion fish > ~/.config/fish/completions/kubiya.fish
    """
    from ..dispatch import root

    kind = get_completion_class(shell)
    assert kind is not None  # click has one for each shell that can be chosen
    click.echo(kind(root, {}, "kubiya", "_KUBIYA_COMPLETE").source())
