"""From an app's ``beat_schedule`` to Schedules, for those who move what belongs to an environment out of the code."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from umbel.beat.appsource import MakeMessage, trigger_of
from umbel.message import DEFAULT_PRIORITY
from umbel.schedules import Cron, Every, crontab
from umbel.schedules.build import MAX_EVERY_SECONDS

#: Options of a call that a Schedule has a field for, or that its queue's name says.
_CARRIED: Final = frozenset({"queue", "priority", "expires", "time_limit"})
_NAME: Final = 63
_EXPRESSION: Final = 128


class NotExpressible(ValueError):
    """A Schedule cannot say this."""


@dataclass(slots=True)
class Exported:
    """One entry.

    Args:
        name: in ``beat_schedule``.
        resource: the Schedule; None where it cannot be one.
        notes: what is different in it, or why it cannot be one.
    """

    name: str
    resource: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def export(
    schedule: Mapping[str, Any],
    zone: str,
    make: MakeMessage,
    namespace: str | None = None,
    cron_deadline: float | None = None,
) -> Iterator[Exported]:
    """Yield each entry of a ``beat_schedule`` that is known to be usable.

    Args:
        schedule: name -> entry.
        zone: in which a crontab without a zone is read.
        make: makes a message.
        namespace: to be named in the resources; None for none.
        cron_deadline: seconds that a run of a crontab may be late; None for however late.
    """
    taken: set[str] = set()
    for name, body in schedule.items():
        found = Exported(str(name))
        metadata = {"name": resource_name(str(name), taken)}
        if namespace is not None:
            metadata["namespace"] = namespace
        try:
            spec = _spec(body, zone, make, found.notes)
            if cron_deadline is not None and spec["trigger"]["type"] == "Cron":
                spec["startingDeadlineSeconds"] = _whole(cron_deadline, "beat_cron_starting_deadline")
        except NotExpressible as error:
            found.notes = [str(error)]
        else:
            found.resource = {
                "apiVersion": "umbel.dev/v1alpha1",
                "kind": "Schedule",
                "metadata": metadata,
                "spec": spec,
            }
        yield found


def resource_name(name: str, taken: set[str]) -> str:
    """Return a name that the API server takes and that is not taken yet; it is from now on."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_NAME].rstrip("-") or "schedule"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base[: _NAME - len(str(number)) - 1]}-{number}"
    taken.add(found)
    return found


def _spec(body: Mapping[str, Any], zone: str, make: MakeMessage, notes: list[str]) -> dict[str, Any]:
    task = body["task"] if isinstance(body["task"], str) else body["task"].name
    options = dict(body.get("options") or {})
    lost = sorted(set(options) - _CARRIED)
    if lost:
        notes.append(f"a Schedule has no field for {', '.join(lost)}: give the task these options in the code")
    queue, message, _ = make(task, tuple(body.get("args") or ()), dict(body.get("kwargs") or {}), options)
    if "content_type" in message.headers or "compression" in message.headers:
        raise NotExpressible("its arguments are not JSON")
    args, kwargs = orjson.loads(message.body)
    sent: dict[str, Any] = {"name": task}
    sent |= {name: value for name, value in (("args", args), ("kwargs", kwargs)) if value}
    if message.priority != DEFAULT_PRIORITY:
        sent["priority"] = message.priority
    if options.get("time_limit") is not None:
        sent["timeLimitSeconds"] = _whole(options["time_limit"], "time_limit")
    if message.headers.get("expires") is not None:
        sent["expiresSeconds"] = _whole(message.headers["expires"], "expires")
    reference = resource_name(queue, set())
    if reference != queue:
        notes.append(f"it needs the TaskQueue {reference} with queueName {queue}")
    return {"queueRef": {"name": reference}, "task": sent, "trigger": _trigger(body, zone, notes)}


def _trigger(body: Mapping[str, Any], zone: str, notes: list[str]) -> dict[str, Any]:
    trigger = trigger_of(body["schedule"], zone, relative=bool(body.get("relative", False)))
    if isinstance(trigger, crontab):
        found: dict[str, Any] = {"expression": expression_of(trigger)}
        return _cron(found, trigger.zone.key if trigger.zone is not None else zone)
    if isinstance(trigger, Cron):
        if "H" in re.findall(r"[A-Z]+", trigger.expression.upper()):
            notes.append("H is drawn from the Schedule's uid, so it comes at another moment than before")
        return _cron({"expression": trigger.expression}, trigger.zone.key)
    if isinstance(trigger, Every):
        seconds = _whole(trigger.every.total_seconds(), "schedule")
        if not 1 <= seconds <= MAX_EVERY_SECONDS:
            raise NotExpressible(f"its period is {seconds} s, and a Schedule's is 1 to {MAX_EVERY_SECONDS} s")
        notes.append("its period is counted from the Unix epoch, not from the last run")
        return {"type": "Interval", "interval": {"everySeconds": seconds}}
    raise NotExpressible(f"its schedule is {type(trigger).__name__}, a class of your own")


def _cron(cron: dict[str, Any], zone: str) -> dict[str, Any]:
    if zone not in ("UTC", "Etc/UTC"):
        cron["timeZone"] = zone
    return {"type": "Cron", "cron": cron}


def expression_of(schedule: crontab) -> str:
    """Return the five fields that mean the same as a crontab.

    Raises:
        NotExpressible: none do.
    """
    days, week_days = _field(schedule.day_of_month, 1, 31), _field(schedule.day_of_week, 0, 6)
    if days != "*" and week_days != "*":
        raise NotExpressible(
            "it names days of the month and of the week, and both must match; in a cron expression one of them is enough"
        )
    minutes, hours = _field(schedule.minute, 0, 59), _field(schedule.hour, 0, 23)
    expression = " ".join([minutes, hours, days, _field(schedule.month_of_year, 1, 12), week_days])
    if len(expression) > _EXPRESSION:
        raise NotExpressible(f"its expression has {len(expression)} characters, and a Schedule's at most {_EXPRESSION}")
    return expression


def _field(values: Collection[int], low: int, high: int) -> str:
    """Return the shortest of the ways in which a field is usually written."""
    found = sorted(values)
    if found == list(range(low, high + 1)):
        return "*"
    step = found[1] - found[0] if len(found) > 1 else 0
    if step > 1 and found == list(range(low, high + 1, step)):
        return f"*/{step}"
    spans: list[list[int]] = []
    for value in found:
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _whole(value: Any, name: str) -> int:
    if float(value) != int(value) or int(value) < 1:
        raise NotExpressible(f"its {name} is {value:g} s, and a Schedule counts whole seconds from 1 on")
    return int(value)
