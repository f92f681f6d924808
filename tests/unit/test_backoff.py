"""Waits double, up to a cap, and are spread where that is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.backoff import exponential


def test_waits_double() -> None:
    assert [exponential(tries, jitter=False) for tries in range(5)] == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_the_factor_is_the_first_wait() -> None:
    assert [exponential(tries, factor=0.05, jitter=False) for tries in range(3)] == [0.05, 0.1, 0.2]


@pytest.mark.parametrize("tries", [10, 100, 10_000, 10**9])
def test_the_cap_holds_however_often_it_was_tried(tries: int) -> None:
    assert exponential(tries, cap=600.0, jitter=False) == 600.0


@given(st.integers(0, 2000), st.floats(0.001, 100.0), st.floats(0.001, 1000.0))
def test_jitter_stays_between_nothing_and_the_wait(tries: int, factor: float, cap: float) -> None:
    whole = exponential(tries, factor=factor, cap=cap, jitter=False)
    assert 0.0 <= exponential(tries, factor=factor, cap=cap) <= whole <= cap


def test_jitter_spreads_over_the_whole_wait() -> None:
    waits = [exponential(3) for _ in range(2000)]
    assert min(waits) < 1.0
    assert max(waits) > 7.0
    assert 3.5 < sum(waits) / len(waits) < 4.5
