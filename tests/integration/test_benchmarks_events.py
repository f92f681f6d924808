"""The benchmark of events, small: what it counts is right, and it prints what it says."""

from __future__ import annotations

from benchmarks.events import Round, compare, page


def test_a_round_drains_the_same_with_and_without_events() -> None:
    found = compare(60_000)
    assert found.rate > 0
    assert found.rate_with > 0
    assert found.events >= 0.85 * 3 * 60_000  # it ends before the last events are written; of each task there are three


def test_the_page_gives_ratios_of_one_run() -> None:
    rounds = [Round(100, 50, 10, 30, 5, 8, 300), Round(100, 60, 10, 20, 5, 7, 300)]
    text = page(rounds, 100)
    assert "median ratio 0.55 (from 0.50 to 0.60); events cost a task 15 µs in the worker and 2.5 µs in Redis" in text
