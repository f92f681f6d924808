"""From an app's ``beat_schedule`` to entries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from umbel import bodies
from umbel.beat.entry import Call, Entry, RunIds, fingerprint_of
from umbel.errors import ImproperlyConfigured
from umbel.message import Message
from umbel.schedules import Cron, Every, crontab
from umbel.schedules.slots import Rules
from umbel.schedules.trigger import Trigger

#: Makes a message: (task name, args, kwargs, options of ``apply_async``) -> queue, message, delay in seconds.
MakeMessage = Callable[[str, Any, Any, Mapping[str, Any]], tuple[str, Message, float]]

_KNOWN = frozenset({"task", "schedule", "args", "kwargs", "options", "relative"})


def entries_of(
    app_name: str,
    schedule: Mapping[str, Any],
    zone: str,
    make: MakeMessage,
    cron_deadline: float | None = None,
) -> dict[str, Entry]:
    """Return the entries of an app's ``beat_schedule``, by uid.

    Args:
        app_name: the app's main name, part of each uid.
        schedule: name -> ``{task, schedule, args, kwargs, options, relative}``.
        zone: in which a crontab without a zone is read.
        make: makes a message.
        cron_deadline: seconds that a run of a crontab may be late; None for however late.

    Raises:
        ImproperlyConfigured: an entry cannot be used; all are checked before anything runs.
    """
    entries = {}
    for name, body in schedule.items():
        try:
            entry = _entry(app_name, str(name), body, zone, make, cron_deadline)
        except (ValueError, TypeError, KeyError) as error:
            raise ImproperlyConfigured(f"beat_schedule[{name!r}]: {error}") from error
        entries[entry.uid] = entry
    return entries


def trigger_of(schedule: object, zone: str, *, relative: bool = False, seed: str = "") -> Trigger:
    """Return the trigger that the field ``schedule`` of an entry means.

    Args:
        schedule: seconds, a timedelta, a crontab, a five-field expression, or anything with ``next_after``.
        zone: in which a crontab without a zone is read.
        relative: round intervals down to their unit.
        seed: what ``H`` in a five-field expression is hashed from.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(schedule, crontab):
        return schedule.in_zone(zone)
    if isinstance(schedule, int | float | timedelta) and not isinstance(schedule, bool):
        return Every(schedule, relative=relative, zone=zone)
    if isinstance(schedule, str):
        return Cron(schedule, zone, seed=seed)
    if callable(getattr(schedule, "next_after", None)):
        return schedule  # type: ignore[return-value] # it has the one method that a Trigger has
    raise ValueError(f"schedule must be a number of seconds, a timedelta or a crontab, not {schedule!r}")


def rules_of(trigger: Trigger, cron_deadline: float | None) -> Rules:
    """Return what is done about late runs: the latest is made up for, that of a crontab no later than its deadline."""
    bounded = cron_deadline is not None and isinstance(trigger, (crontab, Cron))
    return Rules("Latest", starting_deadline=timedelta(seconds=cron_deadline or 0.0) if bounded else None)


def _entry(app_name: str, name: str, body: Any, zone: str, make: MakeMessage, cron_deadline: float | None) -> Entry:
    if not isinstance(body, Mapping):
        raise ValueError(f"must be a dict with task and schedule, not {body!r}")
    unknown = sorted(map(str, set(body) - _KNOWN))
    if unknown:
        raise ValueError(f"has no field {', '.join(unknown)}; there are {', '.join(sorted(_KNOWN))}")
    task = body.get("task")
    if not isinstance(task, str):
        task = getattr(task, "name", None)
    if not isinstance(task, str) or not task:
        raise ValueError("task must be the name of a task")
    if "schedule" not in body:
        raise ValueError("schedule is missing: give a number of seconds, a timedelta or a crontab")
    uid = hashlib.sha1(f"beat_schedule/{app_name}/{name}".encode(), usedforsecurity=False).hexdigest()
    trigger = trigger_of(body["schedule"], zone, relative=bool(body.get("relative", False)), seed=uid)
    args, kwargs, options = tuple(body.get("args") or ()), dict(body.get("kwargs") or {}), body.get("options") or {}
    make(task, args, kwargs, options)  # refuse now what could not be sent later

    def build(ids: RunIds, uid: str) -> Call:
        queue, message, delay = make(task, args, kwargs, {**options, "task_id": ids.task})
        message.headers.update(schedule=uid, run=ids.run)
        message.headers.pop("reply_to", None)
        bodies.seal(message)
        return Call(queue, message.encode(), delay)

    return Entry(
        uid=uid,
        name=name,
        trigger=trigger,
        rules=rules_of(trigger, cron_deadline),
        build=build,
        fingerprint=fingerprint_of([str(trigger), bool(body.get("relative", False))]),
    )
