"""The limits of a task, from its options: how many at once, how many in a time, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel import bodies
from umbel.broker.tickets import Ticket
from umbel.keying import CallKey
from umbel.message import REPLACEABLE
from umbel.pace import rate_interval

if TYPE_CHECKING:
    from umbel.message import Message
    from umbel.task import Task


class Limits:
    """The limits of one task.

    Args:
        task: with ``concurrency_limit`` or ``rate_limit``, and perhaps ``key``.
        rate: in place of the task's ``rate_limit``; 0 for none.
    """

    def __init__(self, task: Task[..., Any], rate: str | float | None = None) -> None:
        self.name = task.name
        self._conf = task.app.conf
        self.places = task.concurrency_limit
        if rate is None:
            rate = task.app.conf.task_default_rate_limit if task.rate_limit is None else task.rate_limit
        if task.app.conf.worker_disable_rate_limits:
            rate = 0
        self.interval = None if rate in (None, 0, "0") else rate_interval(rate or 0)
        self._key = None if task.key is None else CallKey(task.name, task.run, task.key, "key")

    def ticket(self, message: Message) -> Ticket | None:
        """Return what a message of this task needs; None if its key is None.

        Raises:
            Exception: of the function of the key, or since the message has no such argument.
        """
        key: str | None = self.name
        if self._key is not None:
            args, kwargs = bodies.read(self._conf, message.headers, message.body)
            value = self._key(args, kwargs)
            key = None if value is None else f"{self.name}:{value}"
        lock = lock_of(message)
        if key is None:
            return lock
        return Ticket(
            place=key if self.places is not None else None,
            places=self.places or 0,
            rate=key if self.interval is not None else None,
            interval=self.interval or 0.0,
            lock=lock.lock if lock is not None else None,
            task_id=message.headers["id"],
        )


def limits_of(task: Task[..., Any], rate: str | float | None = None) -> Limits | None:
    """Return the limits of a task, None if it has none; see `Limits`."""
    limits = Limits(task, rate)
    return limits if limits.places is not None or limits.interval is not None else None


def lock_of(message: Message) -> Ticket | None:
    """Return the ticket of a message that another one may have replaced, None for any other."""
    if not message.flags & REPLACEABLE or "lock" not in message.headers:
        return None
    return Ticket(lock=message.headers["lock"][0], task_id=message.headers["id"])
