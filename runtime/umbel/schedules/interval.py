"""Fixed periods: aligned to an anchor (the Schedule kind), or counted from the last run (``beat_schedule``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from umbel.schedules.errors import InvalidSchedule
from umbel.schedules.trigger import Trigger
from umbel.schedules.zones import zone_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class Interval:
    """A slot every so often, at anchor + k * period for every whole k, so that a restart moves nothing.

    Args:
        every: the period, in seconds or as a timedelta; at least a millisecond.
        anchor: any one of the slots (aware); slots lie before it too.

    Raises:
        InvalidSchedule: the period is not positive, or the anchor has no zone.
    """

    def __init__(self, every: float | timedelta, anchor: datetime = EPOCH) -> None:
        self.every = period_of(every)
        if anchor.tzinfo is None:
            raise InvalidSchedule(f"the anchor {anchor} of an interval needs a time zone: write 2026-01-01T00:00:00Z")
        self.anchor = anchor.astimezone(UTC)

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return the first slot strictly after ``t`` (aware), in UTC; None past the last year of the calendar."""
        try:
            return self.anchor + ((t - self.anchor) // self.every + 1) * self.every
        except OverflowError:
            return None

    def count_between(self, after: datetime, until: datetime, /) -> int:
        """Return how many slots lie in (after, until]."""
        return max(0, (until - self.anchor) // self.every - (after - self.anchor) // self.every)

    def __str__(self) -> str:
        return f"every {self.every.total_seconds():g}s"

    def __repr__(self) -> str:
        return f"Interval({self.every.total_seconds():g}, {self.anchor.isoformat()!r})"


class Every:
    """A period that is counted from the last run, as a number or timedelta in ``beat_schedule``.

    Args:
        every: the period, in seconds or as a timedelta; at least a millisecond.
        relative: round each due time down to the largest of day, hour and minute that the period holds.
        zone: where days begin, for ``relative``.

    Raises:
        InvalidSchedule: the period is not positive.
        UnknownTimeZone: there is no such zone.
    """

    def __init__(self, every: float | timedelta, *, relative: bool = False, zone: str | ZoneInfo = "Etc/UTC") -> None:
        self.every = period_of(every)
        self.relative = relative
        self.zone = zone_of(zone)

    def anchored(self, last: datetime) -> Trigger:
        """Return the slots that follow a run at ``last`` (aware)."""
        if not self.relative:
            return Interval(self.every, last)
        due = (last + self.every).astimezone(self.zone)
        if self.every >= _DAY:
            days = _Days(self.every // _DAY, due, self.zone)
            return _From(days.start_of(0), days)
        for unit in (_HOUR, _MINUTE):
            if self.every >= unit:
                due = due.replace(minute=0 if unit == _HOUR else due.minute, second=0, microsecond=0)
                return _From(due.astimezone(UTC), Interval(self.every // unit * unit, due))
        return Interval(self.every, last)

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return when the run after one at ``t`` (aware) is due, in UTC."""
        return self.anchored(t).next_after(t)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Every):
            return NotImplemented
        return self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash(self._meaning())

    def _meaning(self) -> tuple[timedelta, ZoneInfo | None]:
        return self.every, self.zone if self.relative else None

    def __str__(self) -> str:
        return f"every {self.every.total_seconds():g}s"

    def __repr__(self) -> str:
        return f"Every({self.every.total_seconds():g}{', relative=True' if self.relative else ''})"


class _From:
    """The slots of a trigger from a first one on."""

    def __init__(self, first: datetime, trigger: Trigger) -> None:
        self.first, self.trigger = first, trigger

    def next_after(self, t: datetime, /) -> datetime | None:
        return self.first if t < self.first else self.trigger.next_after(t)


class _Days:
    """Every so many days at the start of the day, in a zone."""

    def __init__(self, days: int, due: datetime, zone: ZoneInfo) -> None:
        self.days, self.first, self.zone = days, due.date(), zone

    def next_after(self, t: datetime, /) -> datetime | None:
        local = t.astimezone(self.zone).date()
        turn = (local - self.first).days // self.days
        try:
            start = self.start_of(turn)
            return start if start > t else self.start_of(turn + 1)
        except OverflowError:
            return None

    def start_of(self, turn: int) -> datetime:
        day = self.first + timedelta(days=turn * self.days)
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)


def period_of(every: float | timedelta) -> timedelta:
    """Return the period as a timedelta of whole milliseconds.

    Args:
        every: seconds, or a timedelta.

    Raises:
        InvalidSchedule: it is not a number, or less than a millisecond.
    """
    if isinstance(every, bool) or not isinstance(every, int | float | timedelta):
        raise InvalidSchedule(f"an interval is a number of seconds or a timedelta, not {every!r}")
    try:
        period = every if isinstance(every, timedelta) else timedelta(seconds=every)
    except (OverflowError, ValueError):
        raise InvalidSchedule(f"an interval of {every!r} seconds is not possible: give a positive number") from None
    period = period // _MILLISECOND * _MILLISECOND
    if period < _MILLISECOND:
        raise InvalidSchedule(f"an interval of {every!r} is not possible: give a positive number of seconds")
    return period
