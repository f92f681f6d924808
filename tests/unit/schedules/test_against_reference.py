"""Random patterns, zones and windows: the same slots as looking at every minute gives."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.schedules.slow_reference import SlowCron, fits_days

from umbel.schedules import Cron, crontab

#: Days around which the clocks of these zones change, and a leap day.
PLACES = [
    ("Europe/Berlin", datetime(2026, 3, 28)),
    ("Europe/Berlin", datetime(2026, 10, 24)),
    ("America/New_York", datetime(2026, 3, 7)),
    ("America/New_York", datetime(2026, 10, 31)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3)),
    ("Australia/Lord_Howe", datetime(2026, 10, 2)),
    ("America/Santiago", datetime(2026, 4, 3)),
    ("America/Santiago", datetime(2026, 9, 4)),
    ("America/Nuuk", datetime(2026, 3, 27)),
    ("America/Nuuk", datetime(2026, 10, 23)),
    ("Africa/Casablanca", datetime(2026, 2, 13)),
    ("Africa/Casablanca", datetime(2026, 3, 20)),
    ("Asia/Kolkata", datetime(2026, 12, 30)),
    ("Etc/UTC", datetime(2028, 2, 27)),
]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    item = st.one_of(
        number.map(str), span, st.tuples(span, st.integers(1, high)).map("/".join(["{0[0]}", "{0[1]}"]).format)
    )
    lists = st.lists(item, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, high).map("*/{}".format), lists)


minutes, hours = field(0, 59), st.one_of(st.just("*"), field(0, 23), st.just("1-3"))
days, months, week_days = field(1, 31), st.one_of(st.just("*"), field(1, 12)), field(0, 6)
moments = st.tuples(st.sampled_from(PLACES), st.integers(0, 48 * 60))
#: Cases for each rule: some in the tests, any number by `make schedules-deep`.
EXAMPLES = int(os.environ.get("SCHEDULE_EXAMPLES", "120"))
property_test = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@property_test
@given(minutes, hours, days, months, week_days, moments)
def test_cron_fires_when_the_reference_does(
    minute: str, hour: str, day: str, month: str, week_day: str, moment: tuple[tuple[str, datetime], int]
) -> None:
    (zone, start), offset = moment
    after = start.replace(tzinfo=UTC) + timedelta(minutes=offset)
    until = after + timedelta(days=2)
    text = f"{minute} {hour} {day} {month} {week_day}"
    try:
        cron = Cron(text, zone)
    except ValueError:
        assert not any(SlowCron(text, zone).slots(after, until))
        return
    expected = list(SlowCron(text, zone).slots(after, until))
    assert collect(cron, after, until) == expected
    assert cron.count_between(after, until) == len(expected)


@property_test
@given(minutes, hours, days, months, week_days, moments)
def test_crontab_fires_when_the_reference_does(
    minute: str, hour: str, day: str, month: str, week_day: str, moment: tuple[tuple[str, datetime], int]
) -> None:
    (zone, start), offset = moment
    after = start.replace(tzinfo=UTC) + timedelta(minutes=offset)
    until = after + timedelta(days=2)
    text = f"{minute} {hour} {day} {month} {week_day}"
    reference = SlowCron(text, zone, both_days=True)
    try:
        schedule = crontab.from_string(text, zone=zone)
    except ValueError:
        assert not any(reference.slots(after, until))
        return
    expected = list(reference.slots(after, until))
    assert collect(schedule, after, until) == expected
    assert schedule.count_between(after, until) == len(expected)


@property_test
@given(minutes, hours, moments, st.integers(1, 90))
def test_counting_by_days_is_counting_one_by_one(
    minute: str, hour: str, moment: tuple[tuple[str, datetime], int], length: int
) -> None:
    (zone, start), offset = moment
    after = start.replace(tzinfo=UTC) + timedelta(minutes=offset, seconds=17)
    until = after + timedelta(hours=7 * length)
    cron = Cron(f"{minute} {hour} * * *", zone)
    assert cron.count_between(after, until) == len(collect(cron, after, until))


@property_test
@given(minutes, hours, days, week_days, moments, st.integers(0, 3_000_000))
def test_next_is_later_and_nothing_lies_between(
    minute: str, hour: str, day: str, week_day: str, moment: tuple[tuple[str, datetime], int], seconds: int
) -> None:
    (zone, start), _ = moment
    t = start.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    cron = Cron(f"{minute} {hour} {day} * {week_day}", zone)
    following = cron.next_after(t)
    assert following is not None
    assert following > t
    assert following.second == 0
    middle = t + (following - t) / 2
    assert cron.next_after(middle) == following


month_day_items = st.one_of(
    st.integers(1, 31).map(str),
    st.just("L"),
    st.integers(1, 30).map("L-{}".format),
    st.integers(1, 31).map("{}W".format),
    st.just("LW"),
)
week_day_items = st.one_of(
    st.integers(0, 7).map(str),
    st.integers(0, 7).map("{}L".format),
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
)
special_days = st.one_of(st.just("*"), st.lists(month_day_items, min_size=1, max_size=3).map(",".join))
special_weeks = st.one_of(st.just("*"), st.lists(week_day_items, min_size=1, max_size=3).map(",".join))


@property_test
@given(special_days, special_weeks, st.integers(2023, 2104), st.integers(1, 12))
def test_last_nearest_and_nth_days_are_those_of_the_reference(
    month_day: str, week_day: str, year: int, month: int
) -> None:
    start = datetime(year, month, 1, tzinfo=UTC)
    days = [start + timedelta(days=n, hours=12) for n in range(130)]
    expected = [day for day in days if fits_days(month_day, week_day, day.date())]
    cron = Cron(f"0 12 {month_day} * {week_day}")
    assert collect(cron, start, days[-1]) == expected
    assert cron.count_between(start, days[-1]) == len(expected)


def collect(schedule: Cron | crontab, after: datetime, until: datetime) -> list[datetime]:
    found, t = [], schedule.next_after(after)
    while t is not None and t <= until:
        found.append(t)
        t = schedule.next_after(t)
    return found
