"""Many sends in few calls: what a ``with app.batch()`` block collects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from umbel.broker.base import Outgoing
from umbel.dropping import end_dropped
from umbel.options import Conflict
from umbel.unique import duplicate

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.result import AsyncResult

#: What a block collects at most before it sends: messages, and bytes of them. Only a larger block is sent in parts.
MOST_MESSAGES: Final = 50_000
MOST_BYTES: Final = 64 * 2**20


class Batch:
    """The sends of one block, of one app.

    Args:
        app: whose broker gets them.
        outer: the block around this one, perhaps of another app.
    """

    def __init__(self, app: Umbel, outer: Batch | None = None) -> None:
        self._app = app
        self._outer = outer
        self._queues: dict[str, list[Outgoing]] = {}
        self._results: list[tuple[Outgoing, AsyncResult[Any]]] = []
        self._messages = self._bytes = 0

    def of(self, app: Umbel) -> Batch | None:
        """Return the innermost block of an app, None if there is none."""
        batch: Batch | None = self
        while batch is not None and batch._app is not app:
            batch = batch._outer
        return batch

    def add(self, queue: str, outgoing: Outgoing, result: AsyncResult[Any] | None = None) -> None:
        """Collect a send; with its result, where another task may come to stand for it."""
        if self._messages >= MOST_MESSAGES or self._bytes >= MOST_BYTES:
            self.flush()
        self._queues.setdefault(queue, []).append(outgoing)
        if result is not None:
            self._results.append((outgoing, result))
        self._messages += 1
        self._bytes += len(outgoing.payload)

    def flush(self) -> None:
        """Send what was collected, one call per queue.

        Raises:
            OperationalError, PublishUncertain, QueueClosed, QueueFull: see `umbel.broker.base.Broker.publish`.
            DuplicateTask: unique tasks were not sent, and want this to be told; all others were.
        """
        queues, results = self._queues, self._results
        self._queues, self._results = {}, []
        self._messages = self._bytes = 0
        for queue, messages in queues.items():
            publish(self._app, queue, messages)
        rejected = [result for outgoing, result in results if stand_in(outgoing, result)]
        if rejected:
            raise duplicate(rejected)


_batch: ContextVar[Batch | None] = ContextVar("umbel_batch", default=None)
current_batch = _batch.get


@contextmanager
def batch(app: Umbel) -> Iterator[None]:
    """Collect what is sent in this block and publish it at its end; nothing if the block raises. A block inside joins it."""
    outer = _batch.get()
    if outer is not None and outer.of(app) is not None:
        yield
        return
    inner = Batch(app, outer)
    token = _batch.set(inner)
    try:
        yield
    finally:
        _batch.reset(token)
    inner.flush()


def publish(app: Umbel, queue: str, messages: Sequence[Outgoing]) -> None:
    """Publish now, and end what the queue dropped for it."""
    dropped = app.broker.publish(queue, messages)
    if dropped:
        end_dropped(app.broker, dropped, app.conf.result_ttl)


def stand_in(outgoing: Outgoing, result: AsyncResult[Any]) -> bool:
    """Let a result stand for the equal task in whose place its own was not sent; return whether the sender is to be told."""
    existing, lock = outgoing.existing, outgoing.lock
    if existing is None or lock is None or existing == result.id:
        return False
    result.stand_for(existing)
    return lock.conflict is Conflict.REJECT
