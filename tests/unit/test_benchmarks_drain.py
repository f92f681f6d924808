"""The drain rate comes from the middle of the drain, or from nowhere."""

from __future__ import annotations

import pytest
from benchmarks.drain import Sample, evaluate
from benchmarks.errors import BenchmarkError


def steady(tasks: int, per_second: float, *, late: float = 0.0, every: float = 0.005) -> list[Sample]:
    """Two processes share `per_second`; the second joins `late` seconds after the first."""
    samples = [Sample(0.0, {})]
    first = second = 0.0
    at = 0.0
    while first + second < tasks:
        at += every
        first = min(first + per_second / 2 * every, tasks - second)
        if at > late:
            second = min(second + per_second / 2 * every, tasks - first)
        counts = {1: round(first)} | ({2: round(second)} if second else {})
        samples.append(Sample(at, counts, worker_cpu=at * 1.5, redis_cpu=at * 0.25))
    return samples


def test_a_steady_drain_shows_its_rate() -> None:
    result = evaluate(steady(8000, 4000.0), 8000)

    assert result.rate == pytest.approx(4000, rel=0.01)
    assert result.window_seconds == pytest.approx(0.98 * 2, rel=0.02)


def test_processor_time_is_taken_in_the_same_window() -> None:
    result = evaluate(steady(8000, 4000.0), 8000)

    assert result.worker_cpu_us == pytest.approx(1.5e6 / 4000, rel=0.02)
    assert result.redis_cpu_us == pytest.approx(0.25e6 / 4000, rel=0.02)


def test_start_up_and_stragglers_do_not_count() -> None:
    middle = steady(8000, 4000.0)
    shifted = [Sample(s.at + 3.0, s.counts) for s in middle]
    straggler = [*shifted[:-1], Sample(shifted[-1].at + 60.0, shifted[-1].counts)]

    assert evaluate([Sample(0.0, {}), *straggler], 8000).rate == pytest.approx(4000, rel=0.01)


def test_the_time_before_every_process_works_does_not_count() -> None:
    result = evaluate(steady(8000, 4000.0, late=0.8), 8000)

    assert result.rate == pytest.approx(4000, rel=0.01)


def test_a_process_that_joins_at_the_very_end_gives_no_figure() -> None:
    with pytest.raises(BenchmarkError, match="joined when most tasks had run: raise --tasks"):
        evaluate(steady(8000, 4000.0, late=2.8), 8000)


def test_a_drain_that_is_over_at_once_gives_no_figure() -> None:
    with pytest.raises(BenchmarkError, match="too fast to take a rate: raise --tasks"):
        evaluate(steady(500, 4000.0), 500)


@pytest.mark.parametrize("ran", [7999, 8001])
def test_tasks_that_are_lost_or_repeated_give_no_figure(ran: int) -> None:
    with pytest.raises(BenchmarkError, match=f"8000 tasks were sent but {ran} ran"):
        evaluate(steady(ran, 4000.0), 8000)
