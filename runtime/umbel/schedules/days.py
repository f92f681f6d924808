"""Which days of a month a cron pattern means."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from functools import lru_cache

ALL_MONTHS = frozenset(range(1, 13))


@dataclass(frozen=True, slots=True)
class DayRule:
    """The days of a cron pattern. Weekdays are counted from 0 = Sunday to 6 = Saturday.

    Args:
        months: the months, 1 to 12.
        month_days: the days of the month, 1 to 31; None = not restricted.
        week_days: the days of the week; None = not restricted.
        either: where both are restricted, a day that fits one of them is enough (POSIX); else it must fit both.
        last_minus: ``L`` is 0, ``L-3`` is 3: so many days before the month's last.
        near: ``15W``: the working day nearest to this day of the month; 0 means ``LW``.
        last_week_days: ``5L``: the last such day of the month.
        nth_week_days: ``5#2``: (weekday, how many-th).
    """

    months: frozenset[int] = ALL_MONTHS
    month_days: frozenset[int] | None = None
    week_days: frozenset[int] | None = None
    either: bool = True
    last_minus: frozenset[int] = frozenset()
    near: frozenset[int] = frozenset()
    last_week_days: frozenset[int] = frozenset()
    nth_week_days: frozenset[tuple[int, int]] = frozenset()

    def in_month(self, year: int, month: int) -> tuple[int, ...]:
        """Return the matching days of this month, in order."""
        return _days_in_month(self, year, month) if month in self.months else ()

    def _fits_month_day(self, day: int, first: int, length: int) -> bool:
        if self.month_days is None or day in self.month_days or (length - day) in self.last_minus:
            return True
        return any(_nearest_working_day(wanted, first, length) == day for wanted in self.near)

    def _fits_week_day(self, day: int, week_day: int, length: int) -> bool:
        if self.week_days is None or week_day in self.week_days:
            return True
        if week_day in self.last_week_days and day + 7 > length:
            return True
        return (week_day, (day - 1) // 7 + 1) in self.nth_week_days

    def _fits(self, day: int, first: int, length: int) -> bool:
        by_month = self._fits_month_day(day, first, length)
        by_week = self._fits_week_day(day, (first + day - 1) % 7, length)
        if self.either and self.month_days is not None and self.week_days is not None:
            return by_month or by_week
        return by_month and by_week


@lru_cache(maxsize=4096)
def _days_in_month(rule: DayRule, year: int, month: int) -> tuple[int, ...]:
    monday_first, length = monthrange(year, month)
    first = (monday_first + 1) % 7
    return tuple(day for day in range(1, length + 1) if rule._fits(day, first, length))


def _nearest_working_day(wanted: int, first: int, length: int) -> int | None:
    """Return the Monday-to-Friday day nearest to ``wanted`` in the same month; None if the month is too short."""
    day = wanted or length
    if day > length:
        return None
    week_day = (first + day - 1) % 7
    if week_day == 6:
        return day - 1 if day > 1 else day + 2
    if week_day == 0:
        return day + 1 if day < length else day - 2
    return day
