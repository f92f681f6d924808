"""Find out whether a Schedule can ever do what it says: what no CEL rule can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from umbel.schedules.build import build_trigger
from umbel.schedules.errors import InvalidSchedule, UnknownTimeZone
from umbel_operator.api.conditions import Reason
from umbel_operator.api.schedule import Schedule, Trigger
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.build.canonical import canonical_json

#: Bytes of JSON that the task of a Schedule may take: name, arguments and options.
MAX_PAYLOAD_BYTES = 64 * 1024
#: Levels of lists and objects in the arguments of a Schedule; writers of JSON give up at some hundreds.
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a Schedule is not given to beat, as reason and message of its condition Ready."""

    reason: Reason
    message: str


def schedule_problem(schedule: Schedule, queues: Mapping[str, TaskQueue]) -> Problem | None:
    """Return the first reason for which a Schedule cannot be given to beat, or None.

    queues: the TaskQueues of the namespace by name.
    """
    problem = _trigger_problem(schedule.spec.trigger, schedule.uid)
    if problem is not None:
        return problem
    if _is_deeper((schedule.spec.task.args, schedule.spec.task.kwargs), MAX_DEPTH + 1):
        return Problem(
            Reason.PAYLOAD_TOO_LARGE,
            f"the arguments in spec.task are nested more than {MAX_DEPTH} levels deep: pass them flatter, or as a text",
        )
    size = len(canonical_json(schedule.spec.task.to_json()).encode())
    if size > MAX_PAYLOAD_BYTES:
        return Problem(
            Reason.PAYLOAD_TOO_LARGE,
            f"spec.task is {size} bytes of JSON, and at most {MAX_PAYLOAD_BYTES} are allowed: "
            "store the data elsewhere and pass its address",
        )
    name = schedule.spec.queue_ref.name
    if name not in queues:
        return Problem(
            Reason.QUEUE_NOT_FOUND,
            f'there is no TaskQueue "{name}" in namespace "{schedule.namespace}": create it or correct '
            "spec.queueRef.name",
        )
    return None


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether a value has more levels of lists and objects; level by level, since recursion would end too soon."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, Mapping | list | tuple)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(value, Mapping | list) for value in layer)


def _trigger_problem(trigger: Trigger, uid: str) -> Problem | None:
    return _check_text(canonical_json(trigger.to_json()), uid)


@lru_cache(maxsize=20_000)
def _check_text(text: str, uid: str) -> Problem | None:
    spec: Any = Trigger.model_validate_json(text).to_json()
    try:
        build_trigger(spec, uid)
    except UnknownTimeZone as problem:
        return Problem(Reason.UNKNOWN_TIME_ZONE, f"spec.trigger.cron.timeZone: {problem}")
    except InvalidSchedule as problem:
        return Problem(Reason.INVALID_SCHEDULE, f"spec.trigger: {problem}")
    return None
