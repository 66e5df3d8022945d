"""`kubiya model`."""

import click

from kubiya_workers.contracts.models import Model

from ..connect import ask
from ..output import Format, details, output_option, show, show_list

_HEADS = ("MODEL", "PROVIDER", "RECOMMENDED", "DESCRIPTION")


@click.group("model")
def group() -> None:
    """Models that agents can use."""


@group.command("list")
@output_option
def list_(output: Format) -> None:
    """List models."""
    show_list(ask(lambda cp: cp.models.list()), output, _HEADS, _row, none="No models.")


@group.command()
@click.argument("model", required=False)
@output_option
def get(model: str | None, output: Format) -> None:
    """Show one model; without a name, the default one."""
    show(ask(lambda cp: cp.models.get(model) if model else cp.models.default()), output, _text)


def _row(model: Model) -> tuple[object, ...]:
    return (model.value, model.provider, model.recommended, model.description or model.label)


def _text(model: Model) -> str:
    return details(
        (
            ("Model", model.value),
            ("Label", model.label),
            ("Provider", model.provider),
            ("Description", model.description),
            ("Enabled", model.enabled),
            ("Recommended", model.recommended),
            ("Capabilities", model.capabilities),
            ("Pricing", model.pricing),
        )
    )
