"""Rates as people write them."""

from __future__ import annotations

import pytest

from umbel.errors import ImproperlyConfigured
from umbel.rates import RateLimit


@pytest.mark.parametrize(
    ("text", "tasks", "period"),
    [("5", 5.0, 1.0), ("5/s", 5.0, 1.0), ("100/m", 100.0, 60.0), (" 1.5/h ", 1.5, 3600.0), ("7/d", 7.0, 86400.0)],
)
def test_rates_are_read(text: str, tasks: float, period: float) -> None:
    assert RateLimit.read(text) == RateLimit(tasks, period)


@pytest.mark.parametrize("text", ["", "0/s", "-1/s", "5/w", "fast", "5/", "/m"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"is no rate: .* such as 100/m"):
        RateLimit.read(text)


@pytest.mark.parametrize(
    ("limit", "at_once"),
    [
        (RateLimit(5), 1),
        (RateLimit(100, 60.0), 1),
        (RateLimit(100), 10),
        (RateLimit(1000), 100),
        (RateLimit(9, 1.0, 4), 4),
    ],
)
def test_a_tenth_of_a_second_may_start_at_once(limit: RateLimit, at_once: int) -> None:
    assert limit.at_once == at_once


@pytest.mark.parametrize("text", ["5/s", "100/m", "1.5/h", "7/d"])
def test_a_rate_is_shown_as_it_was_written(text: str) -> None:
    assert str(RateLimit.read(text)) == text
