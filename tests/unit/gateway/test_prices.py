"""What models cost: the data, and what becomes of it."""

import pytest

from kubiya_workers.contracts.messages import Price, Usage
from kubiya_workers.gateway.prices import capabilities_of, price_of

PRICE = Price(input=3.0, output=15.0, cached=0.3, as_of="2026-01-01")


@pytest.mark.parametrize(
    "name",
    ["gpt-5-mini", "openai/gpt-5-mini", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"],
)
def test_a_model_is_found_by_any_of_its_names(name: str) -> None:
    price, able = price_of(name), capabilities_of(name)
    assert price is not None and 0 < price.cached <= price.input < price.output
    assert len(price.as_of) == 10
    assert able["tools"] and able["context_length"] > 100_000


def test_what_is_not_known_is_not_guessed() -> None:
    assert price_of("kubiya/offline") is None
    assert price_of("of-my-own") is None
    assert "context_length" not in capabilities_of("of-my-own")


def test_cached_tokens_cost_what_cached_tokens_cost() -> None:
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000).priced(PRICE)
    assert usage.cost_usd == pytest.approx(0.6 * 3 + 0.4 * 0.3 + 0.1 * 15)


def test_a_server_that_says_what_it_cost_is_believed() -> None:
    assert Usage(input_tokens=10, cost_usd=0.5).priced(PRICE).cost_usd == 0.5
    assert Usage(input_tokens=10).priced(None).cost_usd == 0.0
