"""Where names that are imported from Celery are found in Umbel."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from types import ModuleType
from typing import Final, NamedTuple

from umbel.errors import UmbelError


class Place(NamedTuple):
    """A module of Umbel's, and a name in it; no name for the module itself."""

    module: str
    name: str = ""

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


#: What has another name here.
_RENAMED: Final[dict[str, Place]] = {
    "celery.Celery": Place("umbel", "Umbel"),
    "celery.app.Celery": Place("umbel", "Umbel"),
    "celery.app.base.Celery": Place("umbel", "Umbel"),
    "celery.exceptions.CeleryError": Place("umbel.errors", "UmbelError"),
    "celery.task": Place("umbel", "shared_task"),
    "celery.task.task": Place("umbel", "shared_task"),
    "celery.decorators.task": Place("umbel", "shared_task"),
    "celery.task.Task": Place("umbel", "Task"),
    "celery.task.base.Task": Place("umbel", "Task"),
    "celery.app.task.Context": Place("umbel.context", "Request"),
    "celery.app.control.Control": Place("umbel.control.commands", "Control"),
    "celery.app.control.Inspect": Place("umbel.control.inspect", "Inspect"),
    "celery.utils.log.get_task_logger": Place("umbel", "get_task_logger"),
    "celery.canvas._chain": Place("umbel", "chain"),
    "celery.canvas._chord": Place("umbel", "chord"),
    "celery.contrib.testing.worker.start_worker": Place("umbel.testing", "start_worker"),
    "kombu.common.Broadcast": Place("umbel", "Broadcast"),
    "celery.utils.worker_direct": Place("umbel", "worker_direct"),
    "celery.utils.nodenames.worker_direct": Place("umbel", "worker_direct"),
    "kombu.exceptions.OperationalError": Place("umbel.errors", "OperationalError"),
    "kombu.exceptions.EncodeError": Place("umbel.errors", "EncodeError"),
    "kombu.exceptions.DecodeError": Place("umbel.errors", "DecodeError"),
    "billiard.exceptions.SoftTimeLimitExceeded": Place("umbel.errors", "SoftTimeLimitExceeded"),
    "billiard.exceptions.TimeLimitExceeded": Place("umbel.errors", "TimeLimitExceeded"),
    "billiard.exceptions.WorkerLostError": Place("umbel.errors", "WorkerLostError"),
    "billiard.exceptions.Terminated": Place("umbel.errors", "Terminated"),
}
#: Modules, and where their names are here: the first that has the name.
_MODULES: Final[dict[str, tuple[str, ...]]] = {
    "celery": ("umbel",),
    "celery.app": ("umbel",),
    "celery.app.base": ("umbel",),
    "celery.app.task": ("umbel",),
    "celery.app.control": ("umbel.control",),
    "celery.canvas": ("umbel", "umbel.canvas"),
    "celery.contrib.abortable": ("umbel.contrib.abortable",),
    "celery.contrib.django.task": ("umbel.contrib.django",),
    "celery.contrib.pytest": ("umbel.testing",),
    "celery.contrib.testing.worker": ("umbel.testing",),
    "celery.events": ("umbel.events",),
    "celery.events.state": ("umbel.events.state", "umbel.events"),
    "celery.events.snapshot": ("umbel.events",),
    "celery.exceptions": ("umbel.errors",),
    "celery.result": ("umbel", "umbel.result", "umbel.context"),
    "celery.schedules": ("umbel.schedules",),
    "celery.signals": ("umbel.signals",),
    "celery.states": ("umbel.states",),
    "celery.worker.control": ("umbel.control",),
    "kombu.serialization": ("umbel.serialization",),
    "kombu.utils.json": ("umbel.serialization",),
}
#: Why a module has no counterpart, or what to take for it; the longest name that fits counts.
_WHY_NOT: Final[dict[str, str]] = {
    "celery.bootsteps": "the parts of a worker cannot be replaced; see umbel.signals",
    "celery.beat": "a scheduler cannot be replaced: schedules that change at run time are Schedule resources",
    "celery.concurrency": "executors cannot be replaced",
    "celery.contrib.rdb": "there is no remote debugger: run the task by task.apply(), or with umbel worker --pool solo",
    "celery.platforms": "a supervisor (Kubernetes, systemd) makes daemons",
    "celery.task.schedules": "write from umbel.schedules import crontab",
    "celery.task.periodic_task": "write an entry of beat_schedule, or app.add_periodic_task()",
    "celery.decorators.periodic_task": "write an entry of beat_schedule, or app.add_periodic_task()",
    "celery.task.sets": "write umbel.group in place of a TaskSet",
    "celery.utils": "copy what you need of it into your project",
    "celery.schedules.solar": "a Schedule or beat_schedule takes crontab, a number of seconds, or a timedelta",
    "celery.backends": "result backends are chosen by their URL",
    "djcelery": "write an app of your own (docs/coming-from-celery.md), and schedules in beat_schedule",
    "django_celery_beat": "schedules that change at run time are Schedule resources; see umbel schedules export",
    "django_celery_results": "results are asked of Umbel: AsyncResult(id)",
    "kombu.Queue": "task_queues takes names of queues; there are no exchanges",
    "kombu.Exchange": "there are no exchanges: a route names a queue",
    "kombu": "there is nothing to connect to: send tasks",
    "flower": "see umbel status, umbel inspect, /metrics",
}


@cache
def place_of(name: str) -> Place | None:
    """Return where a dotted name of Celery's is found in Umbel, None if it is not there."""
    renamed = _RENAMED.get(name)
    if renamed is not None:
        return renamed if _has(renamed) else None
    if name in _MODULES:  # a module as a whole
        module = next((module for module in _MODULES[name] if _module(module) is not None), None)
        return Place(module) if module else None
    owner, _, last = name.rpartition(".")
    for module in _MODULES.get(owner, ()):
        place = Place(module, last)
        if _has(place):
            return place
    return None


def why_not(name: str) -> str:
    """Return why a name is not offered, or what to do."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        why = _WHY_NOT.get(".".join(parts[:end]))
        if why is not None:
            return why
    return "Umbel has nothing of this name"


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _has(place: Place) -> bool:
    module = _module(place.module)
    if module is None or place.name.startswith("_"):
        return False
    try:
        found = getattr(module, place.name)
    except (AttributeError, UmbelError):
        return False
    # A module of ours that happens to have the name of something else, as umbel.task, is no counterpart.
    return not isinstance(found, ModuleType) or f"celery.{place.name}" in _MODULES
