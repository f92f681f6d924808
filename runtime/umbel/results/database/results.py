"""Results in a table of a database, and one thread a process that looks for those which are awaited.

A database tells nobody when a row changes. So what is awaited is looked for, all of it in common statements: at once, then after
pauses that double from 20 milliseconds to a second, and longer where very many wait.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from umbel import states
from umbel.backoff import exponential
from umbel.errors import BackendError, UmbelError
from umbel.record import Record
from umbel.results.base import End, Tell
from umbel.results.database import schema
from umbel.results.database.opening import open_engine
from umbel.results.database.talking import Talking
from umbel.results.waiting import Waiting

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

log = logging.getLogger("umbel.results")

#: Ids that one statement names.
CHUNK = 500
#: Seconds between two looks for one task: first, longest.
FIRST_LOOK, LONGEST_LOOK = 0.02, 1.0
#: "For ever", as the settings have it: 10 years, in milliseconds.
LONG = 315_360_000_000


class DatabaseResults:
    """See `umbel.results.base.Results`.

    Args:
        url: ``db+postgresql://…`` and the like.
        prefix: of this app's rows: apps with different prefixes share nothing.
        tables: their names.
        options: for SQLAlchemy's ``create_engine``.
        create_tables: make the tables, and take the steps to what this release needs, at the first use.
        short_lived: keep no connection open.
        engine_callback: called with each engine that is made.
    """

    needs_cleaning = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "umbel",
        tables: schema.Tables | None = None,
        options: Mapping[str, Any] | None = None,
        create_tables: bool = True,
        short_lived: bool = False,
        engine_callback: Callable[[Engine], object] | None = None,
    ) -> None:
        self.url = url
        self._database = Talking(
            url,
            partial(open_engine, url, options or {}, short_lived=short_lived),
            tables or schema.Tables(),
            create_tables=create_tables,
            prefix=prefix,
            callback=engine_callback,
        )
        self._begin_anew()
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_parent(own))

    def _begin_anew(self) -> None:
        self._starting = threading.Lock()
        self._waiting = Waiting(first=FIRST_LOOK, longest=LONGEST_LOOK)
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    # -- records

    def inbox(self) -> str | None:
        """Return None: a database sends no replies."""
        return None

    def get(self, task_id: str) -> Record | None:
        return self.get_many([task_id])[0]

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        found: dict[str, Record] = {}
        for start in range(0, len(task_ids), CHUNK):
            found |= self._read(task_ids[start : start + CHUNK])
        return [found.get(task_id) for task_id in task_ids]

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        return self._write([End(task_id, record, ttl)], ended=False)

    def store_ends(self, ends: Sequence[End]) -> None:
        self._write(ends, ended=True)

    def forget(self, task_id: str) -> None:
        with self._database.talk() as (connection, statements):
            statements.forget(connection, task_id)

    def clean_up(self) -> int:
        count = 0
        while True:
            with self._database.talk() as (connection, statements):
                dropped, more = statements.drop_too_old(connection, _now_ms())
            count += dropped
            if not more:
                return count

    def migrate(self) -> int:
        """Make the tables, or take them to what this release needs; return how many steps that took."""
        return self._database.migrate()

    def _read(self, task_ids: Sequence[str], *, final: bool = False) -> dict[str, Record]:
        with self._database.talk() as (connection, statements):
            return statements.read(connection, task_ids, _now_ms(), final=final)

    def _write(self, ends: Sequence[End], *, ended: bool) -> bool:
        written = False
        with self._database.talk() as (connection, statements):
            for end in ends:
                now_ms = _now_ms()
                written = statements.write(connection, _row(end, now_ms), end.record, now_ms, ended=ended)
                # Who waits in this process need not look for it.
                if written and end.record.state in states.READY_STATES:
                    self._waiting.resolve(end.task_id, end.record)
                elif written:
                    self._waiting.hear(end.task_id, end.record)
        return written

    # -- waiting

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        return self.wait_many([(task_id, inbox)])[0]

    def wait_many(self, tasks: Sequence[tuple[str, str | None]]) -> list[Future[Record]]:
        waiting = self._waiting
        futures = [waiting.add(task_id) for task_id, _ in tasks]
        try:
            for start in range(0, len(tasks), CHUNK):
                self._look([task_id for task_id, _ in tasks[start : start + CHUNK]])
        except BaseException:
            for (task_id, _), future in zip(tasks, futures, strict=True):
                future.cancel()
                waiting.discard(task_id, future)
            raise
        for (task_id, _), future in zip(tasks, futures, strict=True):
            future.add_done_callback(partial(waiting.discard, task_id))
        if not all(future.done() for future in futures):
            self._serve()
        return futures

    def wait_for(self, task_id: str, timeout: float | None = None, inbox: str | None = None) -> Record:
        future = self.wait(task_id)
        try:
            return future.result(timeout)
        finally:
            future.cancel()

    def listen(self, task_id: str, tell: Tell) -> Callable[[], None]:
        waiting = self._waiting
        listener = waiting.listen(task_id, tell)
        try:
            self._tell(self._read([task_id]))
        except BaseException:
            waiting.unlisten(task_id, listener)
            raise
        self._serve()
        return partial(waiting.unlisten, task_id, listener)

    def _look(self, task_ids: Sequence[str]) -> None:
        every = any(map(self._waiting.listens, task_ids))
        try:
            found = self._read(task_ids, final=not every)
        except BackendError as error:
            if len(task_ids) == 1:
                log.warning("results.unreadable", extra={"task_id": task_ids[0], "error": str(error)})
                self._waiting.fail(task_ids[0], error)
            else:
                for task_id in task_ids:  # one of them cannot be read: the others can
                    self._look([task_id])
        else:
            self._tell(found)

    def _tell(self, found: Mapping[str, Record]) -> None:
        for task_id, record in found.items():
            if record.state in states.READY_STATES:
                self._waiting.resolve(task_id, record)
            else:
                self._waiting.hear(task_id, record)

    def _serve(self) -> None:
        with self._starting:
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._poll, name="umbel-results-database", daemon=True)
                self._thread.start()
        self._wanted.set()

    def _poll(self) -> None:
        """Look for what is awaited, until `close`."""
        failures = 0
        while not self._closed:
            self._wanted.wait()
            self._wanted.clear()
            while self._waiting and not self._closed:
                try:
                    due = self._waiting.due()
                    for start in range(0, len(due), CHUNK):
                        self._look(due[start : start + CHUNK])
                    failures = 0
                except UmbelError as error:
                    log.debug("results.away", extra={"error": str(error)})
                    failures += 1
                except Exception:
                    log.exception("results.failed")  # of a driver; who waits goes on waiting, and is not forgotten
                    failures += 1
                pause = max(FIRST_LOOK, self._waiting.until_look())
                if failures:
                    pause = exponential(failures, factor=0.1, cap=5.0)
                self._wanted.wait(pause)
                self._wanted.clear()

    def close(self) -> None:
        with self._starting:
            thread, self._thread, self._closed = self._thread, None, True
        self._wanted.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)
        self._waiting.cancel()
        self._database.close()


def _row(end: End, now_ms: int) -> dict[str, Any]:
    record = end.record
    if len(end.task_id) > schema.LONGEST_ID:
        raise BackendError(
            f"the task id {end.task_id[:40]!r}… has {len(end.task_id)} characters; {schema.LONGEST_ID} fit"
        )
    name, worker = record.meta.get("name"), record.meta.get("worker")
    return {
        "task_id": end.task_id,
        "status": record.state[:100],
        "code": states.CODES.get(record.state, 0),
        "attempt": record.attempt,
        "done_ms": record.done_ms,
        "expires_ms": now_ms + (int(end.ttl * 1000) or LONG),
        "task": None if name is None else str(name)[:255],
        "worker": None if worker is None else str(worker)[:255],
    }


def _now_ms() -> int:
    return int(time.time() * 1000)


def _forget_parent(own: weakref.ref[DatabaseResults]) -> None:
    """In a forked process: the parent's thread is not here, nor is whoever held a lock."""
    results = own()
    if results is not None:
        results._begin_anew()
