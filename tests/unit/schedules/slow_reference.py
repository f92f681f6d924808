"""Cron, the slow and obvious way: look at every minute. Shares no code with the library."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
