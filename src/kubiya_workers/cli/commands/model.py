"""`kubiya model`."""

import click

from kubiya_workers.contracts.messages import Price
from kubiya_workers.contracts.models import Model, ModelTest

from .. import talk
from ..ages import duration
from ..connect import ask
from ..output import Format, details, output_option, show, show_list

_ABLE = ("tools", "streaming", "vision", "reasoning")
_HEADS = ("MODEL", "PROVIDER", "RECOMMENDED", "CONTEXT", "PRICE", "DESCRIPTION")


@click.group("model")
def group() -> None:
    """Models that agents can use. Prices are in US dollars for a million tokens."""


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


@group.command()
@click.argument("model")
@output_option
def test(model: str, output: Format) -> None:
    """Make one tiny call to a model: whether it answers, how fast, and what that cost."""
    show(ask(lambda cp: cp.models.test(model)), output, _tested)


@group.command("set-default")
@click.argument("model")
def set_default(model: str) -> None:
    """Make a model the one of executions that name none."""
    chosen = ask(lambda cp: cp.models.set_default(model))
    talk.say(f"The default model is {chosen.value} now.")


def _tested(done: ModelTest) -> str:
    cost = "unknown" if done.cost_usd is None else f"${done.cost_usd:.6f}"
    return details(
        (
            ("Model", done.model),
            ("Answer", done.answer),
            ("Latency", duration(done.latency_ms / 1000)),
            ("Tokens", f"{done.usage.input_tokens} in, {done.usage.output_tokens} out"),
            ("Cost", cost),
        )
    )


def _row(model: Model) -> tuple[object, ...]:
    price = f"${model.pricing['input']:g}/${model.pricing['output']:g}" if model.pricing else None
    context = model.capabilities.get("context_length")
    return (model.value, model.provider, model.recommended, context, price, model.description or model.label)


def _price(model: Model) -> str | None:
    """For people: for a million tokens."""
    if not model.pricing:
        return None
    price = Price.model_validate(model.pricing)
    return f"${price.input:g} in, ${price.output:g} out, ${price.cached:g} cached, per million tokens ({price.as_of})"


def _text(model: Model) -> str:
    return details(
        (
            ("Model", model.value),
            ("Label", model.label),
            ("Provider", model.provider),
            ("Description", model.description),
            ("Enabled", model.enabled),
            ("Recommended", model.recommended),
            ("Can", ", ".join(name for name in _ABLE if model.capabilities.get(name))),
            ("Context", model.capabilities.get("context_length")),
            ("Price", _price(model)),
        )
    )
