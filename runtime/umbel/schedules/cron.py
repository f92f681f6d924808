"""The five-field cron expression of the Schedule kind."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from umbel.schedules.cronfield import HOUR, MINUTE, MONTH, MONTH_DAY, WEEK_DAY
from umbel.schedules.days import DayRule
from umbel.schedules.dst import count_instants, next_instant
from umbel.schedules.errors import InvalidSchedule
from umbel.schedules.wall import WallPattern
from umbel.schedules.zones import zone_of

#: Short names and what they stand for.
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MAX_LENGTH = 128
_EXAMPLE = "write minute, hour, day of month, month and day of week, such as '30 4 * * MON-FRI'"
_PROBE = datetime(2000, 1, 1)


class Cron:
    """A cron expression in a time zone.

    A day fits if it fits the day of month or the day of week where both are restricted (POSIX), and both otherwise.
    ``H`` is a number that is hashed from ``seed``, so that many schedules with the same expression spread out.

    Args:
        expression: five fields, or ``@daily`` and its like; with names, ``a-b``, ``/step``, lists, ``H``, ``H(a-b)``,
            ``L`` and ``L-3`` (day of month), ``15W`` and ``LW``, ``5L`` and ``5#2`` (day of week). 0 and 7 are Sunday.
        zone: an IANA name, or a zone.
        seed: what ``H`` is hashed from: the schedule's uid.

    Raises:
        InvalidSchedule: the expression cannot be read, or can never fire.
        UnknownTimeZone: there is no such zone.
    """

    def __init__(self, expression: str, zone: str | ZoneInfo = "Etc/UTC", *, seed: str = "") -> None:
        self.expression = expression
        self.zone = zone_of(zone)
        self.pattern = _parse(expression, seed)
        if self.pattern.first_from(_PROBE) is None:
            raise InvalidSchedule(
                f"{expression!r} can never fire: no month that it names has such a day; "
                "correct the day of month or the month"
            )

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return the first slot strictly after ``t`` (aware), in UTC; None past the last year of the calendar."""
        return next_instant(self.pattern, self.zone, t)

    def count_between(self, after: datetime, until: datetime, /) -> int:
        """Return how many slots lie in (after, until]."""
        return count_instants(self.pattern, self.zone, after, until)

    def __str__(self) -> str:
        return f"{self.expression} ({self.zone.key})"

    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, {self.zone.key!r})"


def _parse(expression: str, seed: str) -> WallPattern:
    if not isinstance(expression, str):
        raise InvalidSchedule(f"a cron expression is a text of five fields, not {expression!r}: {_EXAMPLE}")
    if len(expression) > _MAX_LENGTH:
        raise InvalidSchedule(f"a cron expression has at most {_MAX_LENGTH} characters, this one has {len(expression)}")
    text = expression.strip()
    if text.startswith("@"):
        if text not in MACROS:
            raise InvalidSchedule(f"there is no {text!r}: use one of {', '.join(MACROS)}, or an Interval for a period")
        text = MACROS[text]
    if "TZ=" in text.upper():
        raise InvalidSchedule(f"{expression!r} names a time zone: give it as timeZone, beside the expression")
    fields = text.upper().split()
    if len(fields) != 5:
        raise InvalidSchedule(f"{expression!r} has {len(fields)} fields, not 5 (there are no seconds): {_EXAMPLE}")
    minute, hour, month_day, month, week_day = fields
    return WallPattern(
        minutes=tuple(sorted(MINUTE.values(minute, seed))),
        hours=tuple(sorted(HOUR.values(hour, seed))),
        days=_day_rule(month_day, MONTH.values(month, seed), week_day, seed),
    )


def _day_rule(month_day: str, months: frozenset[int], week_day: str, seed: str) -> DayRule:
    plain_days: list[str] = []
    last_minus, near = set(), set()
    for item in month_day.split(","):
        if special := re.fullmatch(r"L(?:-([0-9]{1,2}))?", item):
            last_minus.add(_bounded(int(special[1] or 0), 0, 30, month_day))
        elif special := re.fullmatch(r"(L|[0-9]{1,2})W", item):
            near.add(0 if special[1] == "L" else MONTH_DAY.number(special[1], month_day))
        else:
            plain_days.append(item)
    plain_weeks: list[str] = []
    last_week_days, nth_week_days = set(), set()
    for item in week_day.split(","):
        if special := re.fullmatch(r"([0-9A-Z]+)L", item):
            last_week_days.add(WEEK_DAY.number(special[1], week_day) % 7)
        elif special := re.fullmatch(r"([0-9A-Z]+)#([0-9]+)", item):
            if not 1 <= int(special[2]) <= 5:
                raise WEEK_DAY.error(week_day, f"a month has a first to a fifth week day, not a {special[2]}th")
            nth_week_days.add((WEEK_DAY.number(special[1], week_day) % 7, int(special[2])))
        elif item == "L":
            raise WEEK_DAY.error(week_day, "L needs a day here: 5L or FRIL is the month's last Friday")
        else:
            plain_weeks.append(item)
    open_month = MONTH_DAY.is_open(month_day)
    open_week = WEEK_DAY.is_open(week_day)
    days = MONTH_DAY.values(",".join(plain_days), seed) if plain_days else frozenset()
    weeks = WEEK_DAY.values(",".join(plain_weeks), seed) if plain_weeks else frozenset()
    return DayRule(
        months=months,
        month_days=None if open_month else days,
        week_days=None if open_week else weeks,
        either=True,
        last_minus=frozenset(last_minus),
        near=frozenset(near),
        last_week_days=frozenset(last_week_days),
        nth_week_days=frozenset(nth_week_days),
    )


def _bounded(value: int, low: int, high: int, whole: str) -> int:
    if not low <= value <= high:
        raise MONTH_DAY.error(whole, f"L-{value} is not in L-{low} to L-{high}")
    return value
