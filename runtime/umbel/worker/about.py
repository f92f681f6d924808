"""What the app is, for those who ask the worker: its tasks, its settings, its commands.

The zygote writes it once, into memory that it shares with the supervisor, which never imports the app. It is read when
somebody asks; until then the supervisor holds nothing of it.
"""

from __future__ import annotations

import mmap
import os
import struct
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from umbel import signals
from umbel.config import censor
from umbel.control import custom
from umbel.events.base import Bounds
from umbel.options import TaskOptions
from umbel.ownqueues import broadcasts
from umbel.transport import make_events

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.events.base import EventLog

#: Length of what follows; 0 while it is written.
_LENGTH = struct.Struct("<Q")
_OPTIONS = tuple(name for name in TaskOptions.__annotations__ if name not in ("name", "base", "shadow_name"))


#: Signals of the worker as a whole: their receivers are called in a process of their own, see `umbel.worker.steward`.
STEWARDED = ("worker_ready", "worker_shutting_down", "worker_shutdown", "heartbeat_sent", "task_revoked")


class About:
    """The shared memory.

    Args:
        fd: of the memory, when it exists already (in a process that was executed anew).
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = os.memfd_create("umbel-about", 0) if fd is None else fd

    def write(self, app: Umbel) -> None:
        """Describe the app. A reader sees the length, or 0 while this is under way."""
        text = orjson.dumps(_description(app), default=_plain, option=orjson.OPT_NON_STR_KEYS)
        size = _LENGTH.size + len(text)
        os.ftruncate(self.fd, max(size, os.fstat(self.fd).st_size))
        with mmap.mmap(self.fd, size) as memory:
            _LENGTH.pack_into(memory, 0, 0)
            memory[_LENGTH.size : size] = text
            _LENGTH.pack_into(memory, 0, len(text))

    def read(self) -> dict[str, Any]:
        """Return the description; an empty one while there is none."""
        size = os.fstat(self.fd).st_size
        if size < _LENGTH.size:
            return {}
        with mmap.mmap(self.fd, size, prot=mmap.PROT_READ) as memory:
            (length,) = _LENGTH.unpack_from(memory)
            text = memory[_LENGTH.size : _LENGTH.size + length]
        try:
            found: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}  # another zygote writes it in this moment
        return found


def open_events(url: str, about: About) -> EventLog:
    """Return where the events of the app that is described are kept.

    Args:
        url: of its broker.
        about: the description.
    """
    settings = about.read()["settings"]
    bounds = Bounds(settings["event_log_length"], settings["event_log_age"])
    return make_events(url, prefix=settings["key_prefix"], bounds=bounds)


def _description(app: Umbel) -> dict[str, Any]:
    conf = app.conf
    changed = conf.changed()
    return {
        "tasks": {name: _options(app.tasks[name]) for name in sorted(app.tasks)},
        "defaults": _options(_task_class()),
        "settings": {name: censor(name, conf[name]) for name in conf},
        "changed": sorted(changed),
        "broadcasts": sorted(broadcasts(conf)),
        "sets_result_ttl": conf.is_set("result_expires"),
        "posthumous": [name for name in sorted(app.tasks) if _is_posthumous(app.tasks[name], conf)],
        "signals": [name for name in STEWARDED if getattr(signals, name).has_receivers],
        "commands": {
            name: {"kind": command.kind, "default_timeout": command.default_timeout}
            for command in custom.commands()
            for name in (command.name, command.alias)
            if name
        },
    }


def _is_posthumous(task: Any, conf: Any) -> bool:
    """Whether something of a task is to be done even where the process that ran it is gone: its code's handlers, its error."""
    keep = task.store_errors_even_if_ignored
    told = task.has_handlers or signals.task_failure.has_receivers
    return bool(told or (conf.task_store_errors_even_if_ignored if keep is None else keep))


def _task_class() -> Any:
    from umbel.task import Task

    return Task


def _options(task: Any) -> dict[str, Any]:
    """Return the options of a task that differ from those of every task."""
    base = _task_class()
    return {
        name: getattr(task, name)
        for name in _OPTIONS
        if hasattr(base, name) and (task is base or getattr(task, name) != getattr(base, name))
    }


def _plain(value: Any) -> Any:
    """Return what JSON can carry in place of a value that it cannot."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
