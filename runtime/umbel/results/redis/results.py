"""Results on Redis: one string a task, and one reply inbox a client process.

From the first wait on, messages name the inbox and the worker pushes the record along with storing it. For ids from before,
or from another process, a watch is left in the place of the record. Neither is a promise: what is awaited is re-read as well.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from umbel import states
from umbel.broker.redis import parts
from umbel.broker.redis.apart import store_apart
from umbel.broker.redis.consumer import store
from umbel.record import Record
from umbel.redis import keys, scripts
from umbel.redis.connection import RedisConnection, ServerRefused
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.results.base import End, Tell
from umbel.results.redis.inbox import DRAIN, Inbox
from umbel.results.redis.reading import read

T = TypeVar("T")

#: Seconds that a watch lasts.
WATCH_FOR = 86400.0


class RedisResults:
    """See `umbel.results.base.Results`."""

    needs_cleaning = False

    def __init__(self, url: str, *, prefix: str = "umbel", timeout: float = 5.0) -> None:
        self._prefix = prefix
        self._endpoint = Endpoint.from_environment(url)
        self._pool = Pool(self._endpoint, timeout)
        self._lock = threading.Lock()
        self._inbox: Inbox | None = None
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_parent(own))

    def inbox(self) -> str | None:
        inbox = self._inbox
        return inbox.client if inbox is not None and inbox.pid == os.getpid() else None

    def get(self, task_id: str) -> Record | None:
        return self._whole(task_id, self._get(task_id))

    def _get(self, task_id: str) -> Record | None:
        return read(self._run(lambda connection: connection.call(b"GET", keys.result(self._prefix, task_id))))

    def _whole(self, task_id: str, record: Record | None) -> Record | None:
        return record if record is None else parts.whole(self._run, self._prefix, task_id, record)

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        found: list[Record | None] = []
        for start in range(0, len(task_ids), DRAIN):
            commands = [(b"GET", keys.result(self._prefix, task_id)) for task_id in task_ids[start : start + DRAIN]]
            found += map(read, self._run(lambda connection, commands=commands: connection.call_many(commands)))  # type: ignore[misc]
        return [self._whole(task_id, record) for task_id, record in zip(task_ids, found, strict=True)]

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        return self._run(lambda connection: store(connection, self._prefix, task_id, record, ttl))

    def store_ends(self, ends: Sequence[End]) -> None:
        def work(connection: RedisConnection) -> None:
            packed = []
            for end in ends:
                raw = parts.shorten(connection, self._prefix, end.task_id, end.record.encode(), end.ttl)
                packed.append((end.task_id, raw, end.ttl, end.reply_to))
            store_apart(connection, self._prefix, packed, ended=True)

        self._run(work)

    def clean_up(self) -> int:
        return 0

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        own = self._own_inbox()
        future = own.waiting.add(task_id)
        # Only now, with the future in place, so that a reply which came before it is found as a record.
        try:
            self._look(own, task_id, inbox)
        except BaseException:
            future.cancel()  # nobody will wait for it
            own.waiting.discard(task_id, future)
            raise
        future.add_done_callback(partial(own.waiting.discard, task_id))
        own.serve()
        return future

    def wait_many(self, tasks: Sequence[tuple[str, str | None]]) -> list[Future[Record]]:
        own = self._own_inbox()
        futures = [own.waiting.add(task_id) for task_id, _ in tasks]
        try:
            for start in range(0, len(tasks), DRAIN):
                self._look_at(own, tasks[start : start + DRAIN])
        except BaseException:
            for (task_id, _), future in zip(tasks, futures, strict=True):
                future.cancel()
                own.waiting.discard(task_id, future)
            raise
        for (task_id, _), future in zip(tasks, futures, strict=True):
            future.add_done_callback(partial(own.waiting.discard, task_id))
        if futures:
            own.serve()
        return futures

    def wait_for(self, task_id: str, timeout: float | None = None, inbox: str | None = None) -> Record:
        until = None if timeout is None else time.monotonic() + timeout
        own = self._own_inbox()
        future = own.waiting.add(task_id)
        try:
            look: Callable[[], None] | None = partial(self._look, own, task_id, inbox)
            if inbox != own.client or self._endpoint.clustered:
                self._look(own, task_id, inbox)
                look = None
            if not own.lead(future, until, task_id, look) and look is not None:
                look()
            left = None if until is None else max(0.0, until - time.monotonic())
            if not future.done() and left != 0.0:
                own.serve()
            return future.result(left)
        finally:
            own.waiting.discard(task_id, future)

    def listen(self, task_id: str, tell: Tell) -> Callable[[], None]:
        own = self._own_inbox()
        listener = own.waiting.listen(task_id, tell)
        try:
            found = self._watch(task_id, own.client, every=True)
        except BaseException:
            own.waiting.unlisten(task_id, listener)
            raise
        if found is not None:
            listener.hear(parts.whole(self._run, self._prefix, task_id, found))
        own.serve()
        return partial(own.waiting.unlisten, task_id, listener)

    def forget(self, task_id: str) -> None:
        record = self._get(task_id)
        names = [] if record is None else parts.names_of(self._prefix, task_id, record)
        self._run(lambda connection: connection.call(b"DEL", keys.result(self._prefix, task_id), *names))

    def close(self) -> None:
        with self._lock:
            inbox, self._inbox = self._inbox, None
        if inbox is not None and inbox.pid == os.getpid():
            inbox.stop()
        self._pool.close()

    def _own_inbox(self) -> Inbox:
        inbox = self._inbox
        if inbox is not None and inbox.pid == os.getpid():
            return inbox
        with self._lock:
            inbox = self._inbox
            if inbox is None or inbox.pid != os.getpid():
                inbox = self._inbox = Inbox(self._endpoint, self._prefix, self._made_whole)
            return inbox

    def _made_whole(self, task_id: str, record: Record) -> Record:
        return parts.whole(self._run, self._prefix, task_id, record)

    def _look(self, own: Inbox, task_id: str, inbox: str | None) -> None:
        """Read the record; where no reply is going to come, leave a watch in its place."""
        told = inbox == own.client
        try:
            found = self.get(task_id) if told else self._watch(task_id, own.client)
        except ServerRefused as error:
            if told or error.code != "OOM":  # a full Redis takes no watch, and still shows what it has
                raise
            own.waiting.look_soon(task_id)
            found = self.get(task_id)
        self._note(own, task_id, self._whole(task_id, found))

    def _look_at(self, own: Inbox, tasks: Sequence[tuple[str, str | None]]) -> None:
        """As `_look`, for many tasks at once."""
        told = [task_id for task_id, inbox in tasks if inbox == own.client]
        untold = [task_id for task_id, inbox in tasks if inbox != own.client]
        for task_id, found in zip(told, self.get_many(told), strict=True):
            self._note(own, task_id, found)
        if not untold:
            return
        calls = [((keys.result(self._prefix, task_id),), self._watch_of(own.client)) for task_id in untold]
        try:
            answers = self._run(lambda connection: scripts.watch.run_many(connection, calls))
        except ServerRefused as error:
            if error.code != "OOM":
                raise
            for task_id in untold:
                self._look(own, task_id, None)
            return
        for task_id, raw in zip(untold, answers, strict=True):
            self._note(own, task_id, self._whole(task_id, read(raw)))

    def _note(self, own: Inbox, task_id: str, found: Record | None) -> None:
        if found is None:
            return
        if found.state in states.READY_STATES:
            own.waiting.resolve(task_id, found)

    def _watch(self, task_id: str, client: str, *, every: bool = False) -> Record | None:
        names, watch = (keys.result(self._prefix, task_id),), self._watch_of(client, every=every)
        return read(self._run(lambda connection: scripts.watch(connection, names, watch)))

    def _watch_of(self, client: str, *, every: bool = False) -> tuple[bytes, int]:
        name = ("+" if every else "") + keys.inbox(self._prefix, client)
        return Record(states.PENDING, name.encode()).encode(), int(WATCH_FOR * 1000)

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        return self._pool.run(work, repeat=True)


def _forget_parent(own: weakref.ref[RedisResults]) -> None:
    """In a forked process: another thread of the parent may have held the lock, and nobody here will ever release it."""
    results = own()
    if results is not None:
        results._lock = threading.Lock()
        results._inbox = None
