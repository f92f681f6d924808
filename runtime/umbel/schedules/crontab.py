"""Celery's ``crontab``: a class of its own, since its grammar and its meaning of two day fields differ from cron's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from umbel.schedules.cronfield import MONTH_NAMES, WEEK_DAY_NAMES
from umbel.schedules.days import DayRule
from umbel.schedules.dst import count_instants, next_instant
from umbel.schedules.errors import InvalidSchedule
from umbel.schedules.wall import WallPattern
from umbel.schedules.zones import zone_of

#: A field of ``crontab``: a number, the grammar's text, or several numbers.
CronField = int | str | Iterable[int]

_EXPR = re.compile(r"(?P<low>\*|[A-Za-z0-9]+)(-(?P<high>[A-Za-z0-9]+))?(/(?P<step>[0-9]+))?")
_PROBE = datetime(2000, 1, 1)


class crontab:  # noqa: N801 - the name that Celery's users know
    """A crontab in Celery's grammar: every field must match, the two day fields too.

    A field is a number, a set or list of numbers, or a text: ``*``, ``*/15``, ``3``, ``1-5``, ``22-4`` (goes round),
    ``1-20/3``, ``mon,wed`` (the first three letters count), and lists of these. Sunday is 0; 7 is refused.

    Args:
        minute: 0 to 59.
        hour: 0 to 23.
        day_of_week: 0 (Sunday) to 6, or names.
        day_of_month: 1 to 31.
        month_of_year: 1 to 12, or names.
        zone: the time zone, by its IANA name; beat fills in the app's ``timezone`` where none is given.

    Raises:
        InvalidSchedule: a field cannot be read, or the whole can never fire.
        UnknownTimeZone: there is no such zone.
    """

    def __init__(
        self,
        minute: CronField = "*",
        hour: CronField = "*",
        day_of_week: CronField = "*",
        day_of_month: CronField = "*",
        month_of_year: CronField = "*",
        *,
        zone: str | ZoneInfo | None = None,
    ) -> None:
        self.minute = _expand("minute", minute, 0, 59)
        self.hour = _expand("hour", hour, 0, 23)
        self.day_of_week = _expand("day_of_week", day_of_week, 0, 6, WEEK_DAY_NAMES)
        self.day_of_month = _expand("day_of_month", day_of_month, 1, 31)
        self.month_of_year = _expand("month_of_year", month_of_year, 1, 12, MONTH_NAMES)
        self.zone = zone_of(zone) if zone is not None else None
        self._fields = {
            "minute": minute,
            "hour": hour,
            "day_of_week": day_of_week,
            "day_of_month": day_of_month,
            "month_of_year": month_of_year,
        }
        days = DayRule(self.month_of_year, self.day_of_month, self.day_of_week, either=False)
        self.pattern = WallPattern(tuple(sorted(self.minute)), tuple(sorted(self.hour)), days)
        if self.pattern.first_from(_PROBE) is None:
            raise InvalidSchedule(f"{self!r} can never fire: none of these months has such a day; correct day_of_month")

    @classmethod
    def from_string(cls, text: str, *, zone: str | ZoneInfo | None = None) -> crontab:
        """Return the crontab of five fields, in cron's order, with one space between each two.

        Args:
            text: minute, hour, day of month, month, day of week.
            zone: see the class.

        Raises:
            InvalidSchedule: there are not five fields, or one cannot be read.
        """
        fields = text.split(" ")
        if len(fields) != 5 or not all(fields):
            raise InvalidSchedule(
                f"{text!r} is not five fields with one space between: "
                "write 'minute hour day_of_month month day_of_week', such as '30 4 * * mon-fri'"
            )
        minute, hour, day_of_month, month_of_year, day_of_week = fields
        return cls(minute, hour, day_of_week, day_of_month, month_of_year, zone=zone)

    def in_zone(self, zone: str | ZoneInfo) -> crontab:
        """Return the same crontab in this zone, unless it has a zone of its own."""
        return self if self.zone is not None else type(self)(**self._fields, zone=zone)

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return the first slot strictly after ``t`` (aware), in UTC; None past the last year of the calendar."""
        return next_instant(self.pattern, self.zone or zone_of("Etc/UTC"), t)

    def count_between(self, after: datetime, until: datetime, /) -> int:
        """Return how many slots lie in (after, until]."""
        return count_instants(self.pattern, self.zone or zone_of("Etc/UTC"), after, until)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, crontab):
            return NotImplemented
        return self.pattern == other.pattern and self.zone == other.zone

    def __hash__(self) -> int:
        return hash((self.pattern, self.zone))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._fields, self.zone)

    def __str__(self) -> str:
        order = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        text = " ".join(_show(self._fields[name]) for name in order)
        return f"{text} ({self.zone.key})" if self.zone is not None else text

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self._fields.items() if value != "*"]
        return f"crontab({', '.join(given)})"


def _rebuild(fields: dict[str, Any], zone: ZoneInfo | None) -> crontab:
    return crontab(**fields, zone=zone)


def _show(value: CronField) -> str:
    return str(value) if isinstance(value, int | str) else ",".join(str(n) for n in sorted(value))


def _expand(
    field: str, value: CronField, low: int, high: int, names: Mapping[str, int] | None = None
) -> frozenset[int]:
    def error(why: str) -> InvalidSchedule:
        return InvalidSchedule(f"crontab({field}={value!r}): {why}")

    if isinstance(value, bool) or not isinstance(value, int | str | Iterable):
        raise error("give a number, a text such as '*/15', or a list of numbers")
    if isinstance(value, str):
        numbers = _parse(value, low, high, names or {}, error)
    else:
        numbers = {value} if isinstance(value, int) else set(value)
    if not numbers:
        raise error("names no moment at all; leave it out for every one")
    for number in numbers:
        if type(number) is not int or not low <= number <= high:
            raise error(f"{number!r} is not a number from {low} to {high}{' (Sunday is 0)' if high == 6 else ''}")
    return frozenset(numbers)


def _parse(text: str, low: int, high: int, names: Mapping[str, int], error: Any) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _EXPR.fullmatch(part.strip())
        if match is None or (match["low"] == "*" and match["high"] is not None):
            raise error(f"{part!r} is none of *, n, a-b, */step, a-b/step")
        step = int(match["step"] or 1)
        if step < 1:
            raise error(f"the step in {part!r} must be 1 or more")
        if match["low"] == "*":
            members = list(range(low, high + 1))
        else:
            first = _number(match["low"], low, high, names, error)
            last = first if match["high"] is None else _number(match["high"], low, high, names, error)
            members = (
                list(range(first, last + 1)) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
            )
        found.update(members[::step])
    return found


def _number(text: str, low: int, high: int, names: Mapping[str, int], error: Any) -> int:
    if text.isdecimal():
        number = int(text)
    elif text[:3].upper() in names:
        number = names[text[:3].upper()]
    else:
        hint = f", or a name such as {next(iter(names)).lower()}" if names else ""
        raise error(f"{text!r} is not a number from {low} to {high}{hint}")
    if not low <= number <= high:
        raise error(f"{text} is not in {low} to {high}{' (Sunday is 0)' if high == 6 else ''}")
    return number
