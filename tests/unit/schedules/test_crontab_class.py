"""Celery's crontab: its grammar, and its AND of the two day fields."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from umbel.schedules import InvalidSchedule, crontab


def firings(schedule: crontab, count: int, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> list[str]:
    t, found = start, []
    for _ in range(count):
        following = schedule.next_after(t)
        assert following is not None
        t = following
        found.append(t.strftime("%Y-%m-%d %H:%M"))
    return found


def test_every_field_left_out_means_every_minute() -> None:
    assert firings(crontab(), 2) == ["2026-01-01 00:01", "2026-01-01 00:02"]


def test_midnight() -> None:
    assert firings(crontab(minute=0, hour=0), 2) == ["2026-01-02 00:00", "2026-01-03 00:00"]


def test_positional_order_is_minute_hour_day_of_week_day_of_month_month() -> None:
    assert firings(crontab(0, 0, "fri", "13", "*"), 2) == ["2026-02-13 00:00", "2026-03-13 00:00"]


def test_both_day_fields_must_match() -> None:
    assert firings(crontab(0, 0, day_of_month=13, day_of_week="fri"), 3) == [
        "2026-02-13 00:00",
        "2026-03-13 00:00",
        "2026-11-13 00:00",
    ]


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("minute", "*/15", {0, 15, 30, 45}),
        ("minute", "1-10/3", {1, 4, 7, 10}),
        ("minute", "5,10-12", {5, 10, 11, 12}),
        ("minute", "30/5", {30}),
        ("minute", [5, 6], {5, 6}),
        ("minute", {7}, {7}),
        ("minute", range(3), {0, 1, 2}),
        ("hour", "22-4", {22, 23, 0, 1, 2, 3, 4}),
        ("hour", "22-4/2", {22, 0, 2, 4}),
        ("day_of_week", "fri-mon", {5, 6, 0, 1}),
        ("day_of_week", "Sunday", {0}),
        ("day_of_week", "mon,wed", {1, 3}),
        ("month_of_year", "jan-mar", {1, 2, 3}),
        ("month_of_year", "nov-feb", {11, 12, 1, 2}),
        ("month_of_year", "*/6", {1, 7}),
        ("day_of_month", "1-7,15-21", {1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18, 19, 20, 21}),
    ],
)
def test_a_field_means(field: str, given: object, expected: set[int]) -> None:
    assert getattr(crontab(**{field: given}), field) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "given", "says"),
    [
        ("minute", 60, "60 is not a number from 0 to 59"),
        ("minute", "60", "60 is not in 0 to 59"),
        ("minute", -1, "-1 is not a number"),
        ("minute", "-1", "none of"),
        ("minute", "", "none of"),
        ("minute", "*/0", "must be 1 or more"),
        ("minute", "*-5", "none of"),
        ("minute", "mon", "not a number from 0 to 59"),
        ("minute", [], "names no moment"),
        ("minute", [1.5], "1.5 is not a number"),
        ("minute", True, "give a number"),
        ("minute", None, "give a number"),
        ("hour", 24, "0 to 23"),
        ("day_of_week", 7, "Sunday is 0"),
        ("day_of_week", "7", "Sunday is 0"),
        ("day_of_week", "foo", "a name such as sun"),
        ("day_of_month", 0, "1 to 31"),
        ("month_of_year", 13, "1 to 12"),
    ],
)
def test_a_bad_field_is_refused_at_construction(field: str, given: object, says: str) -> None:
    with pytest.raises(ValueError, match=r"crontab\(") as caught:
        crontab(**{field: given})  # type: ignore[arg-type]
    assert isinstance(caught.value, InvalidSchedule)
    assert says in str(caught.value)
    assert field in str(caught.value)


def test_a_crontab_that_can_never_fire_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="can never fire"):
        crontab(0, 0, day_of_month=31, month_of_year=2)


def test_from_string_takes_the_order_of_cron() -> None:
    assert crontab.from_string("0 5 13 2 fri") == crontab(0, 5, "fri", 13, 2)


@pytest.mark.parametrize("text", ["* * * *", "* * * * * *", "*  * * * *", "* * * * * ", "@daily", "", "* * * * 7"])
def test_from_string_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        crontab.from_string(text)


def test_a_zone_of_its_own_wins_over_the_app() -> None:
    berlin = crontab(0, 12, zone="Europe/Berlin")
    assert firings(berlin.in_zone("Asia/Tokyo"), 1) == ["2026-01-01 11:00"]
    assert firings(crontab(0, 12).in_zone("Asia/Tokyo"), 1) == ["2026-01-01 03:00"]


def test_equal_by_meaning_and_survives_pickle() -> None:
    one = crontab(minute="*/30", hour=[1, 2], zone="Europe/Berlin")
    assert one == crontab(minute="0,30", hour="1-2", zone="Europe/Berlin")
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert one == pickle.loads(pickle.dumps(one))
    assert one != crontab(minute="*/30", hour=[1, 2])
    assert one != "*/30 1,2 * * *"


def test_shown_as_it_was_written() -> None:
    assert repr(crontab(minute="*/15", hour=3)) == "crontab(minute='*/15', hour=3)"
    assert str(crontab(minute="*/15", day_of_week={1, 0})) == "*/15 * * * 0,1"
