"""What the Schedule kind's five fields mean, and what is refused."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from umbel.schedules import Cron, InvalidSchedule, UnknownTimeZone


def firings(cron: Cron, start: str, count: int) -> list[str]:
    t: datetime | None = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        assert t is not None
        t = cron.next_after(t)
        assert t is not None
        found.append(t.astimezone(cron.zone).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("5 4 * * *", ["2026-01-01 04:05", "2026-01-02 04:05", "2026-01-03 04:05"]),
        ("0 9-17/4 * * *", ["2026-01-01 09:00", "2026-01-01 13:00", "2026-01-01 17:00"]),
        ("50/5 23 * * *", ["2026-01-01 23:50", "2026-01-01 23:55", "2026-01-02 23:50"]),
        ("0 0 * * MON-WED", ["2026-01-05 00:00", "2026-01-06 00:00", "2026-01-07 00:00"]),
        ("0 0 * * fri-sun", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * FEB,apr *", ["2026-02-01 00:00", "2026-02-02 00:00", "2026-02-03 00:00"]),
        ("0 0 13 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]),  # either day
        ("0 0 */1 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00"]),  # */1 restricts nothing
        ("0 0 ? * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 31 * *", ["2026-01-31 00:00", "2026-03-31 00:00", "2026-05-31 00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00", "2026-03-31 00:00"]),
        ("0 0 L-2 2 *", ["2026-02-26 00:00", "2027-02-26 00:00", "2028-02-27 00:00"]),
        ("0 0 15W * *", ["2026-01-15 00:00", "2026-02-16 00:00", "2026-03-16 00:00"]),  # 15 Feb, 15 Mar: Sundays
        ("0 0 1W * *", ["2026-02-02 00:00", "2026-03-02 00:00", "2026-04-01 00:00"]),
        ("0 0 1W 8 *", ["2026-08-03 00:00", "2027-08-02 00:00", "2028-08-01 00:00"]),  # a Saturday: not into July
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-27 00:00"]),
        ("0 0 * * FRIL", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-27 00:00"]),
        ("0 0 * * TUE#2", ["2026-01-13 00:00", "2026-02-10 00:00", "2026-03-10 00:00"]),
        ("0 0 * * 5#5", ["2026-01-30 00:00", "2026-05-29 00:00", "2026-07-31 00:00"]),
        ("@hourly", ["2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 03:00"]),
        ("@daily", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("@midnight", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("@weekly", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
    ],
)
def test_an_expression_fires_at(expression: str, expected: list[str]) -> None:
    assert firings(Cron(expression, "UTC"), "2026-01-01T00:00", 3) == expected


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "0 fields, not 5"),
        ("* * * *", "4 fields, not 5"),
        ("0 * * * * *", "6 fields, not 5 (there are no seconds)"),
        ("60 * * * *", "60 is not in 0 to 59"),
        ("* 24 * * *", "24 is not in 0 to 23"),
        ("* * 0 * *", "0 is not in 1 to 31"),
        ("* * 32 * *", "32 is not in 1 to 31"),
        ("* * * 13 *", "13 is not in 1 to 12"),
        ("* * * * 8", "8 is not in 0 to 7"),
        ("* * * HAN *", "a name such as JAN"),
        ("* * * * MONDAY", "a name such as SUN"),
        ("MON * * * *", "is not a number from 0 to 59"),
        ("-5 * * * *", "none of"),
        ("1,,2 * * * *", "an empty item"),
        ("*/0 * * * *", "the step 0"),
        ("*/61 * * * *", "the step 61"),
        ("0 22-4 * * *", "write 22-23,0-4 to go round"),
        ("0 0 * * FRI-MON", "runs backwards"),
        ("? * * * *", "the two day fields only"),
        ("0 0 * * L", "FRIL is the month's last Friday"),
        ("0 0 * * 5#6", "not a 6th"),
        ("0 0 L-31 * *", "L-31"),
        ("H(9-3) * * * *", "runs backwards"),
        ("H(3) * * * *", "H(a-b)"),
        ("H/70 * * * *", "the step 70"),
        ("@every 5m", "an Interval for a period"),
        ("@reboot", "use one of @yearly"),
        ("TZ=UTC 0 0 * * *", "give it as timeZone"),
        ("CRON_TZ=UTC 0 0 * * *", "give it as timeZone"),
        ("0 0 31 2 *", "can never fire"),
        ("0 0 30,31 2 *", "can never fire"),
        ("0 0 31 4,6,9,11 *", "can never fire"),
        ("0 0 30W 2 *", "can never fire"),
        ("0 0 * * " + "1," * 80 + "1", "at most 128 characters"),
    ],
)
def test_an_unusable_expression_is_refused_with_what_to_do(expression: str, says: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        Cron(expression, "UTC")
    assert says in str(caught.value)


def test_31_february_or_a_friday_fires_on_fridays() -> None:
    assert firings(Cron("0 0 31 2 5", "UTC"), "2026-01-01T00:00", 2) == ["2026-02-06 00:00", "2026-02-13 00:00"]


@pytest.mark.parametrize("zone", ["Europ/Berlin", "Local", "localtime", "", "../UTC", "America", "A" * 300, "UTC\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(UnknownTimeZone, match="IANA"):
        Cron("* * * * *", zone)


def test_an_unknown_zone_names_the_nearest() -> None:
    with pytest.raises(UnknownTimeZone, match="did you mean Europe/Berlin"):
        Cron("* * * * *", "Europe/Berln")


def test_both_errors_are_value_errors() -> None:
    assert issubclass(InvalidSchedule, ValueError)
    assert issubclass(UnknownTimeZone, ValueError)


def test_hashed_fields_depend_on_the_seed_alone() -> None:
    assert Cron("H H * * *", "UTC", seed="a").pattern == Cron("H H * * *", "UTC", seed="a").pattern
    assert len({Cron("H H * * *", "UTC", seed=str(n)).pattern for n in range(100)}) > 80


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [("H * * * *", range(60)), ("H(10-12) * * * *", range(10, 13)), ("H(0-29)/10 * * * *", range(30))],
)
def test_hashed_minutes_spread_over_their_range(expression: str, minutes: range) -> None:
    seen = [m for n in range(500) for m in Cron(expression, "UTC", seed=f"uid-{n}").pattern.minutes]
    assert set(seen) == set(minutes)


def test_a_hashed_step_keeps_its_step() -> None:
    for n in range(50):
        minutes = Cron("H/15 * * * *", "UTC", seed=f"uid-{n}").pattern.minutes
        assert len(minutes) == 4
        assert {b - a for a, b in itertools.pairwise(minutes)} == {15}


def test_a_hashed_day_of_month_is_in_every_month() -> None:
    for n in range(200):
        days = Cron("0 0 H * *", "UTC", seed=f"uid-{n}").pattern.days.month_days
        assert days is not None
        assert max(days) <= 28


def test_text_shows_expression_and_zone() -> None:
    assert str(Cron("@daily", "Europe/Berlin")) == "@daily (Europe/Berlin)"


def test_past_the_last_year_there_is_no_next() -> None:
    assert Cron("0 0 1 1 *", "Etc/UTC").next_after(datetime(9999, 6, 1, tzinfo=UTC)) is None
    assert Cron("0 * * * *", "America/New_York").next_after(datetime(9999, 12, 31, 23, 30, tzinfo=UTC)) is None
