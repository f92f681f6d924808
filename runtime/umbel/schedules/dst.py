"""The one rule for daylight saving, under every cron grammar.

* A pattern that names hours fires at each of its wall-clock moments once: when the clock first reaches or passes it.
  So what falls into the gap of spring fires at the first instant after the gap, and the hour that autumn repeats
  fires in its first pass only.
* A pattern whose hours are ``*`` follows the hours that really pass: it fires in both passes of a repeated hour, and
  an hour that the clock leaves out is not made up for.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from umbel.schedules.wall import WallPattern

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def next_instant(pattern: WallPattern, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first instant strictly after ``after`` (aware) at which the pattern fires in this zone, in UTC."""
    utc = after.astimezone(UTC)
    try:
        return _next_of_every_hour(pattern, zone, utc) if pattern.every_hour else _next_of_hours(pattern, zone, utc)
    except OverflowError:  # beyond the last year that a datetime can hold
        return None


def count_instants(pattern: WallPattern, zone: ZoneInfo, after: datetime, until: datetime) -> int:
    """Return how many instants of the pattern lie in (after, until], in time proportional to the days between."""
    if until <= after:
        return 0
    first = after.astimezone(zone).date() + _DAY
    last = until.astimezone(zone).date()
    if first >= last:
        return _count_one_by_one(pattern, zone, after, until)
    just_before = _instant_of(_midnight(first), zone) - timedelta(microseconds=1)
    total = _count_one_by_one(pattern, zone, after, just_before)
    day, run_start = first, just_before
    while day < last:
        if _is_plain(day, zone):
            if pattern.matches_day(day):
                total += pattern.slots_per_day
        else:
            run_end = _instant_of(_midnight(day + _DAY), zone) - timedelta(microseconds=1)
            total += _count_one_by_one(pattern, zone, run_start, run_end)
        day += _DAY
        run_start = _instant_of(_midnight(day), zone) - timedelta(microseconds=1)
    return total + _count_one_by_one(pattern, zone, run_start, until)


def _next_of_hours(pattern: WallPattern, zone: ZoneInfo, utc: datetime) -> datetime | None:
    local = utc.astimezone(zone)
    if local.fold:  # second pass: everything that the first pass reached has fired
        before = local.replace(fold=0).utcoffset() or timedelta(0)
        now = local.utcoffset() or timedelta(0)
        change = _change_between(zone, utc - (before - now), utc)
        wall = pattern.first_from((change + before).replace(tzinfo=None))
    else:
        wall = pattern.first_after(local.replace(tzinfo=None))
    return None if wall is None else _instant_of(wall, zone)


def _next_of_every_hour(pattern: WallPattern, zone: ZoneInfo, utc: datetime) -> datetime | None:
    local = utc.astimezone(zone)
    repeated = _next_in_coming_second_pass(pattern, zone, utc, local)
    wall = pattern.first_after(local.replace(tzinfo=None))
    while wall is not None:
        passes = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        real = [t for t in passes if t > utc and t.astimezone(zone).replace(tzinfo=None) == wall]
        if real:
            return min(real) if repeated is None else min(*real, repeated)
        wall = pattern.first_from(_instant_of(wall, zone).astimezone(zone).replace(tzinfo=None))
    return repeated


def _next_in_coming_second_pass(
    pattern: WallPattern, zone: ZoneInfo, utc: datetime, local: datetime
) -> datetime | None:
    """Return the first firing of the second pass, where ``utc`` is in the first pass of a repeated hour."""
    now = local.utcoffset() or timedelta(0)
    later = local.replace(fold=1).utcoffset() or timedelta(0)
    if local.fold or now == later:
        return None
    change = _change_between(zone, utc, utc + (now - later))
    wall = pattern.first_from((change + later).replace(tzinfo=None))
    if wall is None or wall >= (change + now).replace(tzinfo=None):
        return None
    return (wall - later).replace(tzinfo=UTC)


def _instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the clock of this zone reaches or passes ``wall``."""
    utc = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == wall:
        return utc
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change_between(zone, early, utc)


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the second at which the zone's offset changes, in (low, high]."""
    low, high = low.replace(microsecond=0), _ceil_second(high)
    offset = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def _ceil_second(t: datetime) -> datetime:
    floor = t.replace(microsecond=0)
    return floor if floor == t else floor + _SECOND


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _is_plain(day: date, zone: ZoneInfo) -> bool:
    """Tell whether no clock change touches this day (the day before counts: its gap may end at this midnight)."""
    offsets = {_midnight(day + timedelta(days=n)).replace(tzinfo=zone).utcoffset() for n in (-1, 0, 1)}
    return len(offsets) == 1


def _count_one_by_one(pattern: WallPattern, zone: ZoneInfo, after: datetime, until: datetime) -> int:
    count = 0
    t = next_instant(pattern, zone, after)
    while t is not None and t <= until:
        count += 1
        t = next_instant(pattern, zone, t)
    return count
