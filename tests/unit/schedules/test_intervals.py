"""Periods and single moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from umbel.schedules import Every, Interval, InvalidSchedule, Once
from umbel.schedules.jitter import jitter_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_an_interval_is_aligned_to_its_anchor() -> None:
    interval = Interval(300, datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    assert interval.next_after(NOON) == NOON + timedelta(minutes=1)
    assert interval.next_after(NOON + timedelta(minutes=1)) == NOON + timedelta(minutes=6)
    assert interval.next_after(datetime(2025, 1, 1, tzinfo=UTC)) == datetime(2025, 1, 1, 0, 1, tzinfo=UTC)


def test_an_interval_counts_its_slots() -> None:
    assert Interval(60).count_between(NOON, NOON + timedelta(days=700)) == 700 * 1440
    assert Interval(60).count_between(NOON, NOON - timedelta(days=1)) == 0


@pytest.mark.parametrize("every", [0, -1, 0.0001, float("nan"), float("inf"), timedelta(0), "30", None, True])
def test_an_impossible_interval_is_refused(every: object) -> None:
    with pytest.raises(InvalidSchedule, match="interval"):
        Interval(every)  # type: ignore[arg-type]


def test_moments_without_a_zone_are_refused() -> None:
    with pytest.raises(InvalidSchedule, match="time zone"):
        Interval(1, datetime(2026, 1, 1))
    with pytest.raises(InvalidSchedule, match="zone"):
        Once(datetime(2026, 1, 1))


def test_once_fires_once() -> None:
    once = Once(NOON)
    assert once.next_after(NOON - timedelta(seconds=1)) == NOON
    assert once.next_after(NOON) is None
    assert (once.count_between(NOON - timedelta(1), NOON), once.count_between(NOON, NOON + timedelta(1))) == (1, 0)


def test_every_counts_from_the_last_run() -> None:
    last = NOON + timedelta(seconds=7.5)
    assert Every(30).next_after(last) == last + timedelta(seconds=30)
    assert Every(timedelta(milliseconds=250)).next_after(last) == last + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    ("every", "last", "due"),
    [
        (30, "12:00:07", "12:00:37"),
        (60, "12:00:07", "12:01:00"),
        (150, "12:00:07", "12:02:00"),
        (3600, "12:34:07", "13:00:00"),
        (5400, "12:34:07", "14:00:00"),
    ],
)
def test_relative_rounds_down_to_the_unit(every: int, last: str, due: str) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-06-01T{text}+00:00")

    assert Every(every, relative=True).next_after(at(last)) == at(due)


def test_relative_days_begin_at_midnight_of_the_zone_in_summer_and_winter() -> None:
    slots, t = [], datetime(2026, 3, 27, 15, tzinfo=UTC)
    trigger = Every(timedelta(days=1), relative=True, zone="Europe/Berlin").anchored(t)
    for _ in range(4):
        following = trigger.next_after(t)
        assert following is not None
        t = following
        slots.append(t.isoformat())
    assert slots == [
        "2026-03-27T23:00:00+00:00",
        "2026-03-28T23:00:00+00:00",
        "2026-03-29T22:00:00+00:00",
        "2026-03-30T22:00:00+00:00",
    ]


def test_jitter_is_steady_bounded_and_spread() -> None:
    seen = [jitter_of(f"uid-{n}", 60) for n in range(300)]
    assert seen == [jitter_of(f"uid-{n}", 60) for n in range(300)]
    assert min(seen) >= timedelta(0)
    assert max(seen) < timedelta(seconds=60)
    assert len(set(seen)) > 290
    assert jitter_of("uid", 0) == timedelta(0)
