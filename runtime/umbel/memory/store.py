"""One named store: everything that the in-memory brokers and result backends of one name and prefix share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from umbel.broker.base import REVOKED_FOR, REVOKED_MOST, OwnerInfo
from umbel.errors import ImproperlyConfigured
from umbel.ids import new_client_id
from umbel.memory.bells import Bells
from umbel.memory.commands import Commands
from umbel.memory.queue import MemoryQueue
from umbel.memory.records import MemoryRecords


class Store:
    """The state behind one ``memory://`` address. All of it is read and written under `locked`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.generation = new_client_id()
        self.queues: dict[str, MemoryQueue] = {}
        self.owners: dict[str, OwnerInfo] = {}
        self.dying: set[str] = set()
        self.records = MemoryRecords()
        self.bells = Bells()
        self.commands = Commands()
        self._revoked: dict[str, float] = {}
        self.workflows: dict[str, Any] = {}  # their adapter's states
        self.chosen_ids: dict[str, tuple[str, int]] = {}  # task id -> workflow and node
        self.abandoned: dict[str, float] = {}  # own queue -> since when nobody consumes it
        self.watched_until = self.turn_until = 0.0  # when these are forgotten, and when somebody looks again
        self.guards: dict[tuple[str, str], set[int]] = {}  # (queue, workflow) -> nodes that were published

    @contextmanager
    def locked(self) -> Iterator[Store]:
        """Hold the lock; what waited for a record written meanwhile is told after the lock is let go."""
        try:
            with self._lock:
                yield self
        finally:
            with self._lock:
                settled = self.records.take_settled()
                heard = self.records.take_heard()
            for hearer, record in heard:
                hearer.hear(record)
            for future, record in settled:
                if future.set_running_or_notify_cancel():
                    future.set_result(record)

    def clear(self) -> None:
        """Lose everything, as a server that was emptied: the owners too have to register anew."""
        self.queues.clear()
        self.owners.clear()
        self.dying.clear()
        self.records.clear()
        self._revoked.clear()
        self.workflows.clear()
        self.chosen_ids.clear()
        self.guards.clear()
        self.abandoned.clear()
        self.watched_until = self.turn_until = 0.0

    def queue(self, name: str) -> MemoryQueue:
        """Return a queue, a new one if need be."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = MemoryQueue(name)
        return queue

    def ring_if_takeable(self, queue: MemoryQueue) -> None:
        """Ring a queue's bell if a message could be taken: a held queue, or one at its limit, stays silent."""
        if queue.takeable:
            self.bells.ring(queue.name)

    def revoke(self, task_ids: list[str], now: float) -> None:
        """Remember ids as revoked."""
        for task_id in task_ids:
            self._revoked.pop(task_id, None)  # to the end: the dict is sorted by time
            self._revoked[task_id] = now
        for task_id in list(self._revoked)[: max(0, len(self._revoked) - REVOKED_MOST)]:
            del self._revoked[task_id]

    def revoked(self, now: float) -> dict[str, float]:
        """Return the ids that are revoked and not forgotten yet, with the time of it."""
        for task_id in [task_id for task_id, when in self._revoked.items() if when <= now - REVOKED_FOR]:
            del self._revoked[task_id]
        return dict(self._revoked)


_stores: dict[tuple[str, str], Store] = {}
_stores_lock = threading.Lock()


def open_store(url: str, prefix: str) -> Store:
    """Return the store of an address, the same one for all in this process who name it.

    Args:
        url: ``memory://<name>``; the name may be empty.
        prefix: the key prefix; stores of different prefixes share nothing.

    Raises:
        ImproperlyConfigured: the URL is not a ``memory://`` one.
    """
    with _stores_lock:
        return _stores.setdefault((_name(url), prefix), Store())


def drop_store(url: str, prefix: str) -> None:
    """Forget a store with all it holds, so that the next who opens it finds it empty."""
    with _stores_lock:
        _stores.pop((_name(url), prefix), None)


def _name(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "memory":
        raise ImproperlyConfigured(f"{url!r} is not the address of an in-memory broker: write memory://<name>")
    return parts.netloc + parts.path.rstrip("/")
