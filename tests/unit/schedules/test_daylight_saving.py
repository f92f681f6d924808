"""The two changes of the clock in six zones, against tables made by hand; Lord Howe moves by half an hour only."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from umbel.schedules import Cron

#: zone, a moment (UTC) some hours before the gap, local time in the gap, the first instant after the gap
GAPS = [
    ("Europe/Berlin", "2026-03-28T20:00", "30 2 * * *", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"),
    ("America/New_York", "2026-03-08T02:00", "30 2 * * *", "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"),
    ("Australia/Lord_Howe", "2026-10-03T10:00", "15 2 * * *", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"),
    ("America/Santiago", "2026-09-05T20:00", "30 0 * * *", "2026-09-06T01:00:00-03:00", "2026-09-07T00:30:00-03:00"),
    ("America/Nuuk", "2026-03-28T20:00", "30 23 * * *", "2026-03-29T00:00:00-01:00", "2026-03-29T23:30:00-01:00"),
    ("Africa/Casablanca", "2026-03-21T20:00", "30 2 * * *", "2026-03-22T03:00:00+01:00", "2026-03-23T02:30:00+01:00"),
]
#: zone, a moment (UTC) some hours before the overlap, a local time that comes twice, its two instants, the next day's
OVERLAPS = [
    ("Europe/Berlin", "2026-10-24T20:00", "30 2", ("2026-10-25T00:30Z", "2026-10-25T01:30Z"), "2026-10-26T01:30Z"),
    ("America/New_York", "2026-11-01T02:00", "30 1", ("2026-11-01T05:30Z", "2026-11-01T06:30Z"), "2026-11-02T06:30Z"),
    (
        "Australia/Lord_Howe",
        "2026-04-04T10:00",
        "45 1",
        ("2026-04-04T14:45Z", "2026-04-04T15:15Z"),
        "2026-04-05T15:15Z",
    ),
    ("America/Santiago", "2026-04-04T20:00", "30 23", ("2026-04-05T02:30Z", "2026-04-05T03:30Z"), "2026-04-06T03:30Z"),
    ("America/Nuuk", "2026-10-24T20:00", "30 23", ("2026-10-25T00:30Z", "2026-10-25T01:30Z"), "2026-10-26T01:30Z"),
    ("Africa/Casablanca", "2026-02-14T20:00", "30 2", ("2026-02-15T01:30Z", "2026-02-15T02:30Z"), "2026-02-16T02:30Z"),
]


def utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def slots(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    found, t = [], cron.next_after(start)
    while t is not None and t <= end:
        found.append(t)
        t = cron.next_after(t)
    return found


@pytest.mark.parametrize(("zone", "start", "expression", "first", "second"), GAPS)
def test_what_falls_into_the_gap_runs_once_at_its_end(
    zone: str, start: str, expression: str, first: str, second: str
) -> None:
    found = slots(Cron(expression, zone), utc(start), utc(second))
    assert found == [utc(first), utc(second)]


@pytest.mark.parametrize(("zone", "start", "expression", "first", "second"), GAPS)
def test_many_slots_in_the_gap_are_one_run(zone: str, start: str, expression: str, first: str, second: str) -> None:
    hour = expression.split()[1]
    cron = Cron(f"* {hour} * * *", zone)
    gap_end = utc(first)
    assert list(slots(cron, gap_end - timedelta(minutes=1), gap_end)) == [gap_end]


@pytest.mark.parametrize(("zone", "start", "clock", "twice", "next_day"), OVERLAPS)
def test_a_fixed_hour_that_comes_twice_runs_in_its_first_pass(
    zone: str, start: str, clock: str, twice: tuple[str, str], next_day: str
) -> None:
    found = slots(Cron(f"{clock} * * *", zone), utc(start), utc(next_day))
    assert found == [utc(twice[0]), utc(next_day)]


@pytest.mark.parametrize(("zone", "start", "clock", "twice", "next_day"), OVERLAPS)
def test_every_hour_runs_in_both_passes(
    zone: str, start: str, clock: str, twice: tuple[str, str], next_day: str
) -> None:
    found = slots(Cron(f"{clock.split()[0]} * * * *", zone), utc(start), utc(next_day))
    assert {utc(twice[0]), utc(twice[1])} <= set(found)


@pytest.mark.parametrize("zone", sorted({row[0] for row in GAPS} - {"Australia/Lord_Howe"}))
def test_every_hour_runs_after_each_real_hour_all_the_year(zone: str) -> None:
    found = slots(Cron("30 * * * *", zone), utc("2026-01-01"), utc("2027-01-01"))
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(hours=1)}


def test_asking_from_within_the_second_pass() -> None:
    cron = Cron("30,45 2 * * *", "Europe/Berlin")
    assert cron.next_after(utc("2026-10-25T01:10Z")) == utc("2026-10-26T01:30Z")


def test_asking_from_within_the_first_pass_of_every_hour() -> None:
    cron = Cron("10 * * * *", "Europe/Berlin")
    assert cron.next_after(utc("2026-10-25T00:20Z")) == utc("2026-10-25T01:10Z")


def test_a_whole_day_left_out() -> None:
    """Samoa had no 30 December 2011."""
    cron = Cron("0 12 * * *", "Pacific/Apia")
    found = slots(cron, utc("2011-12-29T00:00Z"), utc("2011-12-31T12:00Z"))
    local = [t.astimezone(cron.zone).strftime("%d %H:%M") for t in found]
    assert local == ["29 12:00", "31 00:00", "31 12:00"]


def test_midnight_that_does_not_exist() -> None:
    cron = Cron("@daily", "America/Santiago")
    assert cron.next_after(utc("2026-09-05T20:00")) == utc("2026-09-06T04:00")
