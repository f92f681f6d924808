"""What a worker has to know of a task, looked up once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from umbel.limits import Limits, limits_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


@dataclass(frozen=True, slots=True)
class Traits:
    """What the worker has to know of a task; limits in seconds."""

    acks_late: bool = True
    track_started: bool = False
    time_limit: float | None = None
    soft_time_limit: float | None = None
    limits: Limits | None = None
    is_async: bool = False
    exclusive: bool = False
    sets_retries: bool = False


def traits_of(app: Umbel, task: Task[..., Any]) -> Traits:
    """Return the options of a task, where the app's settings are filled in."""
    conf = app.conf
    return Traits(
        conf.task_acks_late if task.acks_late is None else task.acks_late,
        conf.task_track_started if task.track_started is None else task.track_started,
        task.time_limit or conf.task_time_limit,
        task.soft_time_limit or conf.task_soft_time_limit,
        limits_of(task),
        task.is_async,
        task.exclusive,
        task.sets("max_retries"),
    )
