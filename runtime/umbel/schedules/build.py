"""From a Schedule's ``spec.trigger`` to a trigger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from umbel.schedules.cron import Cron
from umbel.schedules.errors import InvalidSchedule, UnknownTimeZone
from umbel.schedules.interval import EPOCH, Interval
from umbel.schedules.once import Once
from umbel.schedules.trigger import Trigger

#: The longest interval of the Schedule kind, in seconds: one year.
MAX_EVERY_SECONDS = 31_536_000
#: The years that a moment of a trigger may lie in.
FIRST_YEAR, LAST_YEAR = 2, 9998


def build_trigger(spec: Mapping[str, Any], uid: str) -> Trigger:
    """Return the trigger that a Schedule's ``spec.trigger`` describes.

    Args:
        spec: ``{"type": "Cron" | "Interval" | "Once", <member of that name>: {…}}``.
        uid: the Schedule's uid, from which ``H`` is hashed.

    Raises:
        InvalidSchedule: it cannot be used; the text says what to write.
        UnknownTimeZone: there is no such zone.
    """
    if not isinstance(spec, Mapping):
        raise InvalidSchedule(f"trigger must be an object with a type, not {spec!r}")
    kind = spec.get("type")
    if kind == "Cron":
        return _cron(_member(spec, "cron"), uid)
    if kind == "Interval":
        return _interval(_member(spec, "interval"))
    if kind == "Once":
        return Once(_moment(_member(spec, "once"), "time", "trigger.once.time"))
    raise InvalidSchedule(f"trigger.type must be Cron, Interval or Once, not {kind!r}")


def parse_time(value: object, field: str) -> datetime:
    """Return the moment that a text in RFC 3339 form means.

    Args:
        value: such as ``2026-01-01T00:00:00Z``.
        field: its name, for the error.

    Raises:
        InvalidSchedule: it is not such a text.
    """
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidSchedule(f"{field} must be a time such as 2026-01-01T00:00:00Z, not {value!r}")
    return time


def _moment(member: Mapping[str, Any], name: str, field: str) -> datetime:
    time = parse_time(member.get(name), field)
    # Zones and jitter move a moment by hours, and must not lead out of the calendar.
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise InvalidSchedule(f"{field} must lie in the years {FIRST_YEAR} to {LAST_YEAR}, not {member.get(name)!r}")
    return time


def _cron(member: Mapping[str, Any], uid: str) -> Cron:
    expression = member.get("expression")
    if not isinstance(expression, str):
        raise InvalidSchedule(f"trigger.cron.expression must be a text such as '30 4 * * *', not {expression!r}")
    zone = member.get("timeZone")
    if zone is not None and not isinstance(zone, str):
        raise UnknownTimeZone(f"trigger.cron.timeZone must be an IANA name such as Europe/Berlin, not {zone!r}")
    return Cron(expression, "Etc/UTC" if zone is None else zone, seed=uid)


def _interval(member: Mapping[str, Any]) -> Interval:
    every = member.get("everySeconds")
    if isinstance(every, bool) or not isinstance(every, int) or not 1 <= every <= MAX_EVERY_SECONDS:
        raise InvalidSchedule(
            f"trigger.interval.everySeconds must be a whole number from 1 to {MAX_EVERY_SECONDS}, not {every!r}"
        )
    if member.get("anchorTime") is None:
        return Interval(every, EPOCH)
    return Interval(every, _moment(member, "anchorTime", "trigger.interval.anchorTime"))


def _member(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = spec.get(name)
    if not isinstance(member, Mapping):
        raise InvalidSchedule(f"a trigger of type {spec['type']} needs the object trigger.{name}")
    return member
