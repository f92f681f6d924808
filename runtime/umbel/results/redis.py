"""Results on Redis: one string a task, and one reply inbox a client process.

The inbox is a list that one thread drains into futures, so that ten thousand waiters cost one connection. From the first
wait on, messages name the inbox and the worker pushes the record along with storing it. For ids from before, or from
another process, a watch is left in the place of the record. Neither is a promise: what is awaited is re-read as well.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from umbel import record as records
from umbel import states
from umbel.backoff import exponential
from umbel.broker.redis.consumer import store
from umbel.errors import BackendError, DecodeError
from umbel.ids import new_client_id
from umbel.record import Record
from umbel.redis import keys, scripts
from umbel.redis.connection import AWAY, Argument, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool

log = logging.getLogger("umbel.results")
T = TypeVar("T")

#: Seconds that a watch lasts, that the reader blocks, and between two looks at all that is awaited.
WATCH_FOR = 86400.0
BLOCK = 1.0
LOOK_AGAIN = 5.0
#: Seconds between looks at an id that could not be watched, growing up to LOOK_AGAIN.
FIRST_LOOK = 0.05
DRAIN = 1000


class RedisResults:
    """See `umbel.results.base.Results`."""

    def __init__(self, url: str, *, prefix: str = "umbel", timeout: float = 5.0) -> None:
        self._prefix = prefix
        self._endpoint = Endpoint.from_environment(url)
        self._pool = Pool(self._endpoint, timeout)
        self._lock = threading.Lock()
        self._reader: _Reader | None = None
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_parent(own))

    def inbox(self) -> str | None:
        reader = self._reader
        return reader.client if reader is not None and reader.pid == os.getpid() else None

    def get(self, task_id: str) -> Record | None:
        raw = self._run(lambda connection: connection.call(b"GET", keys.result(self._prefix, task_id)))
        return _read(raw)

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        return self._run(lambda connection: store(connection, self._prefix, task_id, record, ttl))

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        with self._lock:
            reader = self._reader
            if reader is None or reader.pid != os.getpid():
                reader = self._reader = _Reader(self._endpoint, self._prefix)
        future: Future[Record] = Future()
        reader.add(task_id, future)
        # Only now, with the future in place, so that a reply which came before it is found as a record.
        try:
            found = self.get(task_id) if inbox == reader.client else self._watch(task_id, reader.client)
        except BaseException:
            future.cancel()  # nobody will wait for it
            raise
        if found is not None:
            reader.resolve(task_id, found)
        return future

    def forget(self, task_id: str) -> None:
        self._run(lambda connection: connection.call(b"DEL", keys.result(self._prefix, task_id)))

    def close(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None and reader.pid == os.getpid():
            reader.stop()
        self._pool.close()

    def _watch(self, task_id: str, client: str) -> Record | None:
        watch = Record(states.PENDING, keys.inbox(self._prefix, client).encode()).encode()
        names = (keys.result(self._prefix, task_id),)
        return _read(self._run(lambda connection: scripts.watch(connection, names, (watch, int(WATCH_FOR * 1000)))))

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        return self._pool.run(work, repeat=True)


def _forget_parent(own: weakref.ref[RedisResults]) -> None:
    """In a forked process: another thread of the parent may have held the lock, and nobody here will ever release it."""
    results = own()
    if results is not None:
        results._lock = threading.Lock()
        results._reader = None


class _Reader:
    """The thread that drains the inbox of this process and resolves the futures."""

    def __init__(self, endpoint: Endpoint, prefix: str) -> None:
        self.client = new_client_id()
        self.pid = os.getpid()
        self._endpoint = endpoint
        self._prefix = prefix
        self._inbox = keys.inbox(prefix, self.client)
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Future[Record]]] = {}
        self._fresh: dict[str, tuple[float, float]] = {}  # id -> (when to look, pause after that)
        self._some = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="umbel-results", daemon=True)
        self._thread.start()

    def add(self, task_id: str, future: Future[Record]) -> None:
        with self._lock:
            self._waiting.setdefault(task_id, []).append(future)
            self._fresh[task_id] = (time.monotonic() + LOOK_AGAIN, LOOK_AGAIN)
        self._some.set()

    def look_soon(self, task_id: str) -> None:
        """A record that is not final stands where the watch would: look again soon, since nobody will tell."""
        with self._lock:
            if task_id in self._waiting:
                self._fresh[task_id] = (time.monotonic() + FIRST_LOOK, FIRST_LOOK)

    def resolve(self, task_id: str, record: Record) -> None:
        if record.state not in states.READY_STATES:
            self.look_soon(task_id)
            return
        for future in self._done(task_id):
            future.set_result(record)

    def _done(self, task_id: str) -> list[Future[Record]]:
        """Forget a task; return those that still wait for it."""
        with self._lock:
            futures = self._waiting.pop(task_id, ())
            self._fresh.pop(task_id, None)
        return [future for future in futures if future.set_running_or_notify_cancel()]

    def stop(self) -> None:
        self._stopped = True
        self._some.set()
        self._thread.join(BLOCK + 1.0)
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                future.cancel()

    def _run(self) -> None:
        tries = 0
        while not self._stopped:
            self._some.wait()
            try:
                self._drain()
                tries = 0
            except AWAY as error:
                log.debug("results.reconnect", extra={"error": str(error)})
                time.sleep(exponential(tries, factor=0.05, cap=1.0))
                tries += 1

    def _drain(self) -> None:
        connection = self._endpoint.connect(2.0)
        try:
            self._look(connection, everything=True)
            while not self._stopped:
                if not self._pending():
                    self._some.clear()
                    if not self._pending():
                        self._some.wait()
                    continue
                block = max(0.01, min(BLOCK, self._next_look() - time.monotonic()))
                answer = connection.call(b"BLPOP", self._inbox, f"{block:.3f}", timeout=block + 5.0)
                if answer is not None:
                    self._take(answer[1])
                    for item in connection.call(b"LPOP", self._inbox, DRAIN) or ():
                        self._take(item)
                self._look(connection)
        finally:
            connection.close()

    def _pending(self) -> bool:
        with self._lock:
            for task_id in [key for key, futures in self._waiting.items() if all(map(Future.cancelled, futures))]:
                del self._waiting[task_id]
                self._fresh.pop(task_id, None)
            return bool(self._waiting)

    def _next_look(self) -> float:
        with self._lock:
            return min((due for due, _ in self._fresh.values()), default=time.monotonic() + BLOCK)

    def _take(self, item: bytes) -> None:
        head, _, raw = item.partition(b"\n")
        task_id = head.decode("utf-8", "replace")
        record = self._readable(task_id, raw)
        if record is not None:
            self.resolve(task_id, record)

    def _readable(self, task_id: str, raw: Any) -> Record | None:
        """Return the record; what cannot be read is told to those who wait for it, and to nobody else."""
        try:
            return _read(raw)
        except BackendError as error:
            log.warning("results.unreadable", extra={"task_id": task_id, "error": str(error)})
            for future in self._done(task_id):
                future.set_exception(error)
            return None

    def _look(self, connection: RedisConnection, everything: bool = False) -> None:
        """Re-read what is due for a look, since a reply can be lost with a connection."""
        now = time.monotonic()
        with self._lock:
            due = [task_id for task_id, (when, _) in self._fresh.items() if everything or when <= now]
            for task_id in due:
                pause = min(LOOK_AGAIN, self._fresh[task_id][1] * 2)
                self._fresh[task_id] = (now + pause, pause)
        for start in range(0, len(due), DRAIN):
            chunk = due[start : start + DRAIN]
            commands: list[tuple[Argument, ...]] = [(b"GET", keys.result(self._prefix, task_id)) for task_id in chunk]
            for task_id, raw in zip(chunk, connection.call_many(commands), strict=True):
                record = self._readable(task_id, raw)
                if record is not None and record.state in states.READY_STATES:
                    self.resolve(task_id, record)


def _read(raw: Any) -> Record | None:
    if raw is None:
        return None
    try:
        record = records.decode(raw)
    except DecodeError as error:
        raise BackendError(str(error)) from error
    return None if record.state == states.PENDING else record
