"""What is due, what was missed, what comes next."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbel.schedules import Cron, Interval, Once
from umbel.schedules.slots import (
    COUNT_LIMIT,
    Rules,
    due_slots,
    edited_cursor,
    first_cursor,
    period_after,
    resumed_cursor,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = Cron("* * * * *")
DAILY = Cron("@daily")


def ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def test_nothing_is_due_before_the_first_slot() -> None:
    due = due_slots(EVERY_MINUTE, NOON, NOON + timedelta(seconds=59), Rules())
    assert (due.run, due.missed, due.cursor, due.next) == ((), 0, NOON, NOON + MINUTE)


def test_a_slot_is_due_at_its_very_moment() -> None:
    due = due_slots(EVERY_MINUTE, NOON, NOON + MINUTE, Rules())
    assert (due.run, due.missed, due.cursor, due.next) == ((NOON + MINUTE,), 0, NOON + MINUTE, NOON + 2 * MINUTE)


@pytest.mark.parametrize("policy", ["Skip", "Latest", "All"])
def test_a_second_look_finds_nothing(policy: Any) -> None:
    rules = Rules(policy, max_runs=10)
    due = due_slots(EVERY_MINUTE, ago(5), NOON, rules)
    again = due_slots(EVERY_MINUTE, due.cursor, NOON, rules)
    assert (again.run, again.missed) == ((), 0)


@pytest.mark.parametrize("missed", [0, 1, 100, 101, 1_000_000])
@pytest.mark.parametrize(("policy", "max_runs", "ran"), [("Skip", 1, 1), ("Latest", 1, 1), ("All", 100, 100)])
def test_any_number_of_missed_minutes_is_dealt_with_quickly(policy: Any, max_runs: int, ran: int, missed: int) -> None:
    began = time.process_time()
    due = due_slots(EVERY_MINUTE, ago(missed), NOON, Rules(policy, max_runs))
    assert time.process_time() - began < 3
    assert len(due.run) == min(ran, missed)
    assert due.missed == missed - len(due.run)
    assert due.next == NOON + MINUTE
    assert list(due.run) == [ago(n) for n in reversed(range(len(due.run)))]


def test_skip_runs_nothing_that_is_late() -> None:
    due = due_slots(DAILY, ago(60 * 24 * 3), NOON, Rules("Skip"))
    assert (due.run, due.missed, due.next) == ((), 3, datetime(2026, 6, 2, tzinfo=UTC))


def test_skip_runs_what_is_on_time() -> None:
    midnight = datetime(2026, 6, 2, tzinfo=UTC)
    due = due_slots(DAILY, NOON, midnight + timedelta(seconds=20), Rules("Skip"))
    assert (due.run, due.missed) == ((midnight,), 0)


def test_a_deadline_bounds_every_policy() -> None:
    hour = timedelta(hours=1)
    assert due_slots(DAILY, ago(1440), NOON, Rules("Latest", starting_deadline=hour)).run == ()
    assert len(due_slots(DAILY, ago(1440), NOON, Rules("Latest", starting_deadline=12 * hour)).run) == 1
    assert len(due_slots(EVERY_MINUTE, ago(1440), NOON, Rules("All", 100, starting_deadline=hour)).run) == 61
    assert due_slots(DAILY, ago(1440), NOON, Rules("Skip", starting_deadline=12 * hour)).run == ()


def test_jitter_delays_the_run_and_not_the_slot() -> None:
    rules = Rules(jitter=timedelta(seconds=40))
    assert due_slots(EVERY_MINUTE, NOON, NOON + timedelta(seconds=99), rules).run == ()
    assert due_slots(EVERY_MINUTE, NOON, NOON + timedelta(seconds=100), rules).run == (NOON + MINUTE,)


def test_a_deadline_starts_with_the_jittered_moment() -> None:
    rules = Rules(jitter=timedelta(seconds=30), starting_deadline=timedelta(seconds=10))
    assert due_slots(DAILY, ago(1440), datetime(2026, 6, 1, 0, 0, 40, tzinfo=UTC), rules).missed == 0
    assert due_slots(DAILY, ago(1440), datetime(2026, 6, 1, 0, 0, 41, tzinfo=UTC), rules).missed == 1


def test_a_clock_that_runs_backwards_repeats_nothing() -> None:
    cursor, ran = NOON, []
    moments = [NOON + n * MINUTE for n in (1, 2, 3, -60, -59, 2, 3, 4, 5)]
    for now in moments:
        due = due_slots(EVERY_MINUTE, cursor, now, Rules())
        cursor = due.cursor
        ran += due.run
    assert ran == [NOON + n * MINUTE for n in (1, 2, 3, 4, 5)]


def test_a_new_schedule_owes_nothing() -> None:
    assert due_slots(EVERY_MINUTE, first_cursor(EVERY_MINUTE, NOON), NOON, Rules()).run == ()


def test_a_once_that_comes_late_to_beat_runs_still() -> None:
    once = Once(ago(3))
    due = due_slots(once, first_cursor(once, NOON), NOON, Rules())
    assert (due.run, due.next) == ((ago(3),), None)


def test_a_once_beyond_its_deadline_is_missed() -> None:
    once = Once(ago(3))
    due = due_slots(once, first_cursor(once, NOON), NOON, Rules(starting_deadline=MINUTE))
    assert (due.run, due.missed) == ((), 1)


def test_an_edit_drops_what_was_missed_and_never_goes_back() -> None:
    assert edited_cursor(EVERY_MINUTE, ago(10), NOON) == NOON
    assert edited_cursor(EVERY_MINUTE, NOON, ago(10)) == NOON


def test_a_once_that_ran_does_not_run_again_for_an_edit() -> None:
    once = Once(ago(3))
    cursor = edited_cursor(once, ago(3), NOON)
    assert due_slots(once, cursor, NOON, Rules()).run == ()


def test_a_resume_makes_up_for_nothing_by_itself() -> None:
    for rules in (Rules(), Rules("All", 10), Rules("Skip", starting_deadline=timedelta(hours=1))):
        assert due_slots(EVERY_MINUTE, resumed_cursor(ago(600), NOON, rules), NOON, rules).run == ()


def test_a_resume_makes_up_inside_an_explicit_deadline() -> None:
    rules = Rules("All", 100, starting_deadline=timedelta(minutes=5))
    run = due_slots(EVERY_MINUTE, resumed_cursor(ago(600), NOON, rules), NOON, rules).run
    assert run == tuple(ago(n) for n in (5, 4, 3, 2, 1, 0))


def test_a_trigger_that_cannot_count_is_counted_to_a_limit() -> None:
    class Bare:
        def next_after(self, t: datetime) -> datetime:
            return Interval(1).next_after(t) or t

    due = due_slots(Bare(), ago(60 * 24 * 365), NOON, Rules())
    assert due.missed == COUNT_LIMIT
    assert due.run == (NOON,)


@pytest.mark.parametrize(
    ("trigger", "slot", "period"),
    [
        (Interval(30), NOON, timedelta(seconds=30)),
        (Cron("0 0 * * MON,TUE"), datetime(2026, 6, 1, tzinfo=UTC), timedelta(days=6)),
        (Once(NOON), NOON, timedelta(0)),
    ],
)
def test_the_period_covers_the_next_gap(trigger: Any, slot: datetime, period: timedelta) -> None:
    assert period_after(trigger, slot) == period


@settings(deadline=None, max_examples=150)
@given(
    every=st.integers(1, 7200),
    steps=st.lists(st.integers(-4000, 9000), min_size=1, max_size=25),
    policy=st.sampled_from(["Skip", "Latest", "All"]),
    deadline=st.one_of(st.none(), st.integers(1, 5000)),
    jitter=st.integers(0, 100),
)
def test_whatever_the_clock_does_each_slot_is_run_or_missed_once(
    every: int, steps: list[int], policy: Any, deadline: int | None, jitter: int
) -> None:
    trigger = Interval(every)
    rules = Rules(
        policy, 20, timedelta(seconds=deadline) if deadline else None, timedelta(seconds=min(jitter, every - 1))
    )
    cursor, now, ran, missed = NOON, NOON, [], 0
    for step in steps:
        now += timedelta(seconds=step)
        due = due_slots(trigger, cursor, now, rules)
        assert all(slot + rules.jitter <= now for slot in due.run)
        assert due.next is not None
        assert due.next > due.cursor
        cursor, missed = due.cursor, missed + due.missed
        ran += due.run
    assert ran == sorted(set(ran))
    assert len(ran) + missed == trigger.count_between(NOON, cursor)
