"""Results in the memory of one process, for tests: the semantics of the Redis backend, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.ids import new_client_id
from umbel.memory.store import open_store
from umbel.record import Record
from umbel.results.base import End, Tell
from umbel.results.waiting import Listener


class MemoryResults:
    """A result backend in the memory of this process; see `umbel.results.base.Results`.

    A record that an in-memory broker of the same name and prefix writes with an acknowledgement is found here.

    Args:
        url: ``memory://<name>``.
        prefix: the key prefix; different prefixes share nothing.
        clock: tells when a record is too old.
    """

    needs_cleaning = False

    def __init__(self, url: str = "memory://", *, prefix: str = "umbel", clock: Clock = SYSTEM_CLOCK) -> None:
        self.url = url
        self.prefix = prefix
        self._store = open_store(url, prefix)
        self._clock = clock
        self._inbox: str | None = None
        self._waiting: set[Future[Record]] = set()
        self._listeners: set[Listener] = set()

    def inbox(self) -> str | None:
        return self._inbox

    def get(self, task_id: str) -> Record | None:
        with self._store.locked() as store:
            return store.records.get(task_id, self._clock.time())

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        return [self.get(task_id) for task_id in task_ids]

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        with self._store.locked() as store:
            return store.records.store(task_id, record.encode(), ttl, self._clock.time(), guarded=True)

    def store_ends(self, ends: Sequence[End]) -> None:
        with self._store.locked() as store:
            for end in ends:
                old, now = store.records.get(end.task_id, self._clock.time()), self._clock.time()
                if old is None or old.attempt <= end.record.attempt:
                    store.records.store(end.task_id, end.record.encode(), end.ttl, now, guarded=False)

    def clean_up(self) -> int:
        return 0

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        future: Future[Record] = Future()
        with self._store.locked() as store:
            self._inbox = self._inbox or new_client_id()
            self._waiting.add(future)
            future.add_done_callback(lambda done: self._abandon(task_id, done))
            store.records.wait(task_id, future, self._clock.time())
        return future

    def wait_many(self, tasks: Sequence[tuple[str, str | None]]) -> list[Future[Record]]:
        return [self.wait(task_id, inbox) for task_id, inbox in tasks]

    def wait_for(self, task_id: str, timeout: float | None = None, inbox: str | None = None) -> Record:
        future = self.wait(task_id, inbox)
        try:
            return future.result(timeout)
        finally:
            future.cancel()

    def listen(self, task_id: str, tell: Tell) -> Callable[[], None]:
        listener = Listener(tell)
        with self._store.locked() as store:
            self._listeners.add(listener)
            store.records.listen(task_id, listener, self._clock.time())
        return lambda: self._unlisten(task_id, listener)

    def _unlisten(self, task_id: str, listener: Listener) -> None:
        with self._store.locked() as store:
            self._listeners.discard(listener)
            store.records.unlisten(task_id, listener)

    def forget(self, task_id: str) -> None:
        with self._store.locked() as store:
            store.records.forget(task_id)

    def close(self) -> None:
        with self._store.locked():
            waiting, self._inbox = list(self._waiting), None
            listening, self._listeners = self._listeners, set()
        for listener in listening:
            listener.end()
        for future in waiting:
            future.cancel()

    def _abandon(self, task_id: str, future: Future[Record]) -> None:
        with self._store.locked() as store:
            self._waiting.discard(future)
            store.records.abandon(task_id, future)
