"""Calls to models as people look at them."""

from kubiya_workers.observability.calls import CallTally


def test_calls_are_told_apart_by_how_they_ended_and_percentiles_are_of_the_completed_ones() -> None:
    tally = CallTally()
    for number in range(100):
        tally.ended("fast", "completed", number / 1000, upstream="litellm")
    tally.ended("fast", "rate_limited", 60.0, upstream="litellm")
    tally.ended("fast", "client_left", 60.0, upstream="litellm")
    tally.ended("broken", "failed", 1.0)
    fast, broken = tally.report().models
    assert (fast.model, fast.upstream, fast.calls, fast.given_up) == ("fast", "litellm", 102, 1)
    assert fast.errors == {"rate_limited": 1}
    assert (fast.p50_ms, fast.p95_ms) == (50.0, 94.0)
    assert (broken.errors, broken.p50_ms, broken.p95_ms) == ({"failed": 1}, None, None)


def test_only_the_last_calls_say_how_long_they_take() -> None:
    tally = CallTally()
    for seconds in [9.0] * 500 + [1.0] * 500:
        tally.ended("m", "completed", seconds)
    (model,) = tally.report().models
    assert (model.calls, model.p50_ms, model.p95_ms) == (1000, 1000.0, 1000.0)
