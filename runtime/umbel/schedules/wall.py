"""A pattern on the face of the clock: minutes, hours and days, without any time zone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, timedelta

from umbel.schedules.days import DayRule

#: The Gregorian calendar repeats after so many years: what does not fire within them never does.
CALENDAR_CYCLE_YEARS = 400

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WallPattern:
    """Moments of wall-clock time, at whole minutes.

    Args:
        minutes: in order, 0 to 59, not empty.
        hours: in order, 0 to 23, not empty.
        days: which days.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DayRule

    @property
    def every_hour(self) -> bool:
        """Tell whether the pattern names no hour: it then follows the hours that pass, not those on the clock."""
        return len(self.hours) == 24

    @property
    def slots_per_day(self) -> int:
        """Return how many moments a matching day of 24 hours has."""
        return len(self.minutes) * len(self.hours)

    def first_after(self, wall: datetime) -> datetime | None:
        """Return the first matching moment later than ``wall`` (naive); None if none comes."""
        return self._first_from_minute(wall.replace(second=0, microsecond=0) + _MINUTE)

    def first_from(self, wall: datetime) -> datetime | None:
        """Return the first matching moment at or after ``wall`` (naive); None if none comes."""
        floor = wall.replace(second=0, microsecond=0)
        return self._first_from_minute(floor if floor == wall else floor + _MINUTE)

    def matches_day(self, day: date) -> bool:
        """Tell whether the pattern fires on this day."""
        return day.day in self.days.in_month(day.year, day.month)

    def _first_from_minute(self, wall: datetime) -> datetime | None:
        for year, month, day in self._days_from(wall):
            if (year, month, day) != (wall.year, wall.month, wall.day):
                return datetime(year, month, day, self.hours[0], self.minutes[0])
            time = self._first_time_from(wall.hour, wall.minute)
            if time is not None:
                return datetime(year, month, day, *time)
        return None

    def _first_time_from(self, hour: int, minute: int) -> tuple[int, int] | None:
        at = bisect_left(self.hours, hour)
        if at == len(self.hours):
            return None
        if self.hours[at] > hour:
            return self.hours[at], self.minutes[0]
        by_minute = bisect_left(self.minutes, minute)
        if by_minute < len(self.minutes):
            return hour, self.minutes[by_minute]
        return (self.hours[at + 1], self.minutes[0]) if at + 1 < len(self.hours) else None

    def _days_from(self, wall: datetime) -> Iterator[tuple[int, int, int]]:
        year, month, first_day = wall.year, wall.month, wall.day
        last_year = min(year + CALENDAR_CYCLE_YEARS, MAXYEAR)
        while year <= last_year:
            for day in self.days.in_month(year, month):
                if day >= first_day:
                    yield year, month, day
            first_day = 1
            month += 1
            if month == 13:
                year, month = year + 1, 1
