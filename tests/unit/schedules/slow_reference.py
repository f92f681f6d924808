"""Cron, the slow and obvious way: look at every minute. Shares no code with the library."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MINUTE = timedelta(minutes=1)


def _numbers(text: str, low: int, high: int) -> set[int]:
    found = set()
    for item in text.split(","):
        body, _, step = item.partition("/")
        first, last = (low, high) if body == "*" else (int(body.split("-")[0]), int(body.split("-")[-1]))
        found |= {n for n in range(first, last + 1) if (n - first) % int(step or 1) == 0}
    return found


class SlowCron:
    """Five fields of numbers, ``*``, lists, ranges and steps."""

    def __init__(self, text: str, zone: str, *, both_days: bool = False) -> None:
        self.fields = text.split()
        self.zone = ZoneInfo(zone)
        self.both_days = both_days
        self.sets = [_numbers(field, *bounds) for field, bounds in zip(self.fields, BOUNDS, strict=True)]
        self.follows_real_hours = self.sets[1] == set(range(24))

    def fits(self, wall: datetime) -> bool:
        minutes, hours, days, months, week_days = self.sets
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        sunday_first = wall.isoweekday() % 7
        by_day = wall.day in days
        by_week = sunday_first in week_days or (sunday_first == 0 and 7 in week_days)
        if self.both_days or self.fields[2] in ("*", "*/1") or self.fields[4] in ("*", "*/1"):
            return by_day and by_week
        return by_day or by_week

    def slots(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the slots in (after, until]; both must be whole minutes."""
        t = after.astimezone(UTC) - timedelta(days=2)
        reached = t.astimezone(self.zone).replace(tzinfo=None)
        while t < until:
            t += MINUTE
            wall = t.astimezone(self.zone).replace(tzinfo=None)
            if self.follows_real_hours:
                fires = self.fits(wall)
            else:  # at the first instant at which the clock reaches or passes it
                fires = False
                while reached < wall:
                    reached += MINUTE
                    fires = fires or self.fits(reached)
            if fires and t > after:
                yield t


def fits_days(month_day: str, week_day: str, day: date) -> bool:
    """Tell whether a day fits the two day fields of an expression, with ``L``, ``W`` and ``#``, by looking at its neighbours."""
    by_month = any(_fits_month_day(item, day) for item in month_day.split(","))
    by_week = any(_fits_week_day(item, day) for item in week_day.split(","))
    return by_month and by_week if "*" in (month_day, week_day) else by_month or by_week


def _days_of_month(day: date) -> list[date]:
    around = [day + timedelta(days=n) for n in range(-31, 32)]
    return [other for other in around if (other.year, other.month) == (day.year, day.month)]


def _fits_month_day(item: str, day: date) -> bool:
    month = _days_of_month(day)
    working = [other for other in month if other.isoweekday() <= 5]
    if item == "LW":
        return day == working[-1]
    if item.endswith("W"):
        wanted = int(item[:-1])
        if wanted > len(month):
            return False
        return day == min(working, key=lambda other: abs(other.day - wanted))
    if item.startswith("L"):
        back = int(item.partition("-")[2] or 0)
        return back < len(month) and day == month[-1 - back]
    return item == "*" or day.day == int(item)


def _fits_week_day(item: str, day: date) -> bool:
    number, same = day.isoweekday() % 7, [other for other in _days_of_month(day) if other.weekday() == day.weekday()]
    if item.endswith("L"):
        return number == int(item[:-1]) % 7 and day == same[-1]
    if "#" in item:
        wanted, nth = map(int, item.split("#"))
        return number == wanted % 7 and same.index(day) + 1 == nth
    return item == "*" or number == int(item) % 7
