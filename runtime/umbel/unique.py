"""Unique tasks: what makes a call equal to another one, and what its sender gets where an equal one has not ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel.broker.tickets import Lock
from umbel.errors import DuplicateTask
from umbel.keying import CallKey
from umbel.message import LOCKED, REPLACEABLE
from umbel.options import Conflict

if TYPE_CHECKING:
    from umbel.message import Message
    from umbel.result import AsyncResult
    from umbel.task import Task

#: Seconds that a lock outlives the moment at which its task is due, unless the task says otherwise.
UNIQUE_FOR: Final = 86400.0


class Unique:
    """How the calls of one task are told apart.

    Args:
        task: with ``unique`` or ``unique_for``.
    """

    def __init__(self, task: Task[..., Any]) -> None:
        self._task = task.name
        self._seconds = task.unique_for or UNIQUE_FOR
        self._conflict = Conflict(task.on_conflict)
        self._key = CallKey(task.name, task.run, task.unique_key, "unique_key")

    def mark(self, message: Message, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Write into a message which lock it takes; none, if the function of its key returns None."""
        key = self._key(args, kwargs)
        if key is None:
            return
        message.headers["lock"] = [f"{self._task}:{key}", self._seconds, self._conflict.value]
        message.flags |= LOCKED | (REPLACEABLE if self._conflict is Conflict.REPLACE else 0)


def unique_of(task: Task[..., Any]) -> Unique | None:
    """Return how the calls of a task are told apart, None if it is not unique."""
    return Unique(task) if task.unique or task.unique_for is not None else None


def lock_of(message: Message) -> Lock | None:
    """Return the lock that a message is to take when it is published."""
    if not message.flags & LOCKED:
        return None
    name, seconds, conflict = message.headers["lock"]
    return Lock(name, seconds, Conflict(conflict))


def duplicate(results: Sequence[AsyncResult[Any]]) -> DuplicateTask:
    """Return the error for tasks that were not sent; their results stand for the equal ones already."""
    first = results[0]
    others = f", and {len(results) - 1} more" if len(results) > 1 else ""
    return DuplicateTask(
        f"{first.task_name} was not sent{others}: the equal task {first.id} has not ended. Wait for that one, "
        "or declare on_conflict='return-existing' to get its result",
        first.id,
    )
