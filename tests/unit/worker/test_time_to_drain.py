"""How long a worker that is told to end lets run what runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

import pytest

from umbel.worker.drain import FORSAKEN, Drain

Step = Callable[[Drain], None]


def term(drain: Drain) -> None:
    drain.ask(signal.SIGTERM)


def quit_(drain: Drain) -> None:
    drain.ask(signal.SIGQUIT)


def forsake(drain: Drain) -> None:
    drain.forsake()


@pytest.mark.parametrize(
    ("steps", "over", "cold"),
    [
        ((), False, False),
        ((term,), False, False),
        ((term, term), True, True),
        ((quit_,), True, True),
        ((forsake,), False, False),
        ((term, forsake), True, True),
        ((forsake, term), True, True),
    ],
    ids=["nothing", "once", "twice", "SIGQUIT", "gone, but not told to end", "gone after", "gone before"],
)
def test_its_time_is_over_when_somebody_says_so(steps: Sequence[Step], over: bool, cold: bool) -> None:
    drain = Drain(300.0)
    for step in steps:
        step(drain)
    assert (drain.over(time.monotonic()), drain.cold) == (over, cold)


def test_its_time_is_over_when_it_is_up_and_then_it_may_fail() -> None:
    drain = Drain(300.0)
    term(drain)
    assert not drain.over(time.monotonic() + 299)
    assert drain.over(time.monotonic() + 301)
    assert not drain.cold


def test_a_word_from_long_ago_does_not_cut_it_short() -> None:
    drain = Drain(300.0)
    forsake(drain)
    term(drain)
    assert not drain.over(time.monotonic() + FORSAKEN)
