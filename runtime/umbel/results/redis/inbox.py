"""The reply inbox of one client process: a list in Redis that is drained into futures, on one connection.

Who reads it, takes turns. A thread that waits for one result reads it itself and hands out what is for others, so that
a wait pays no hand-over between threads. A background thread, started when first needed, reads while others wait than the one
that reads: further threads, and event loops.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import hiredis

from umbel import states
from umbel.backoff import exponential
from umbel.errors import BackendError
from umbel.ids import new_client_id
from umbel.polling import readable
from umbel.record import Record
from umbel.redis import keys
from umbel.redis.connection import AWAY, Argument, ConnectionBroken, RedisConnection, ServerRefused, pack
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import TRUST
from umbel.results.redis.reading import read
from umbel.results.waiting import Waiting

log = logging.getLogger("umbel.results")

#: Seconds for which Redis is asked to wait for a reply, and for which it may be late with its answer.
BLOCK = 1.0
LATE = 5.0
#: Replies and records that are read in one call.
DRAIN = 1000


class Inbox:
    """See the module. Not to be used across a fork: make a new one.

    Args:
        endpoint: where Redis is.
        prefix: of all keys.
        whole: returns a record with its value, on another connection, where that is in parts.
    """

    def __init__(self, endpoint: Endpoint, prefix: str, whole: Callable[[str, Record], Record]) -> None:
        self.client = new_client_id()
        self.pid = os.getpid()
        self.waiting = Waiting()
        self._endpoint = endpoint
        self._prefix = prefix
        self._whole = whole
        self._key = keys.inbox(prefix, self.client)
        self._turn = threading.Lock()  # held by the thread that reads; it guards what follows
        self._connection: RedisConnection | None = None
        self._records: RedisConnection | None = None  # to all nodes of a cluster, which the results are spread over
        self._asked = False  # the answer to a BLPOP is still to come, whoever reads it
        self._answer_by = 0.0
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = threading.Event()  # the background thread is to read
        self._stopped = False

    def lead(self, future: Future[Record], until: float | None, first: str, look: Callable[[], None] | None) -> bool:
        """Read until ``future`` is done, unless another thread reads already.

        Args:
            future: of the caller; it may be done by another thread before this one reads.
            until: when to stop, by the monotonic clock; None for ever.
            first: the task of the future.
            look: reads its record on another connection, since its reply may have come before the future was there; None if
                that was done. Not called where the record can be read on this connection.

        Returns: whether this thread had its turn, and the record was read. The future may not be done.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            connection = self._open()
            if look is not None and self._asked and not self._hear(connection, 0.0):
                look()  # Redis answers nothing else on this connection now
            elif look is not None:
                self._ask(connection, first)
            look = None
            self._read(connection, future, until)
        except AWAY as error:
            log.debug("results.reconnect", extra={"error": str(error)})
            self._drop()
        except BaseException:
            self._drop()  # interrupted in the middle of an answer, perhaps
            raise
        finally:
            self._turn.release()
        return look is None

    def serve(self) -> None:
        """Have the background thread read for as long as anybody waits. Whoever waits and does not read calls this."""
        with self._starting:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="umbel-results", daemon=True)
                self._thread.start()
        self._wanted.set()

    def stop(self) -> None:
        """End the thread, drop the connection and cancel all that waits."""
        self._stopped = True
        self._wanted.set()
        connection = self._connection
        if connection is not None:
            connection.close()  # wakes who reads
        if self._thread is not None:
            self._thread.join(BLOCK + 1.0)
        self.waiting.cancel()

    # The background thread

    def _run(self) -> None:
        tries = 0
        while not self._stopped:
            self._wanted.wait()
            self._wanted.clear()
            # Whoever begins to wait after this look wakes this thread, or reads.
            while self.waiting and not self._stopped:
                try:
                    with self._turn:
                        self._read(self._open(), None, None)
                    tries = 0
                except AWAY as error:
                    log.debug("results.reconnect", extra={"error": str(error)})
                    with self._turn:
                        self._drop()
                    time.sleep(exponential(tries, factor=0.05, cap=1.0))
                    tries += 1

    # With the turn

    def _open(self) -> RedisConnection:
        """Return the connection; a new one reads all that is awaited, since replies may have been lost with the old one."""
        connection = self._connection
        if connection is None:
            connection = self._endpoint.connect_at(self._key, 2.0)
            self._connection, self._asked = connection, False
            self._look(connection, everything=True)
        elif not self._asked and time.monotonic() - connection.idle_since > TRUST and connection.stale():
            self._drop()
            return self._open()
        return connection

    def _drop(self) -> None:
        connection, self._connection, self._asked = self._connection, None, False
        records, self._records = self._records, None
        for open_one in (connection, records):
            if open_one is not None:
                open_one.close()

    def _ask(self, connection: RedisConnection, first: str | None = None) -> None:
        """Ask for the next reply; before that, with the same sending, for the record of ``first``."""
        block = max(0.01, min(BLOCK, self.waiting.until_look()))
        command = pack(b"BLPOP", self._key, f"{block:.3f}")
        if first is not None:
            command = pack(b"GET", keys.result(self._prefix, first)) + command
        connection.send(command, LATE)
        self._asked, self._answer_by = True, time.monotonic() + block + LATE
        if first is not None:
            raw = connection.receive(LATE)
            if isinstance(raw, hiredis.ReplyError):
                raise ServerRefused(str(raw))
            self._note(first, raw)

    def _read(self, connection: RedisConnection, future: Future[Record] | None, until: float | None) -> None:
        """Hand out replies until ``future`` is done; without one, until nobody waits."""
        while not self._stopped and (self.waiting if future is None else not future.done()):
            if not self._asked:
                self._look(connection)
                self._ask(connection)
                continue
            end = self._answer_by if until is None else min(until, self._answer_by)
            if not self._hear(connection, max(0.0, end - time.monotonic())):
                if until is not None and time.monotonic() >= until:
                    return
                raise ConnectionBroken("no answer from Redis", sent=True)
            if self.waiting and (future is None or not future.done()):
                for item in connection.call(b"LPOP", self._key, DRAIN) or ():
                    self._take(item)

    def _hear(self, connection: RedisConnection, seconds: float) -> bool:
        """Read the answer to what was asked and hand it out; return whether it came in time."""
        if not connection.ready() and not readable((connection.fileno(),), seconds):
            return False
        answer = connection.receive(LATE)
        self._asked = False
        connection.idle_since = time.monotonic()
        if isinstance(answer, hiredis.ReplyError):
            raise ServerRefused(str(answer))
        if answer is not None:
            self._take(answer[1])
        return True

    def _take(self, item: bytes) -> None:
        head, _, raw = item.partition(b"\n")
        self._note(head.decode("utf-8", "replace"), raw)

    def _note(self, task_id: str, raw: bytes | None) -> None:
        """Hand out a record if it is final; what cannot be read is told to those who wait for it."""
        try:
            record = read(raw)
            if record is not None:
                record = self._whole(task_id, record)
        except BackendError as error:
            log.warning("results.unreadable", extra={"task_id": task_id, "error": str(error)})
            self.waiting.fail(task_id, error)
            return
        if record is None:
            return
        if record.state in states.READY_STATES:
            self.waiting.resolve(task_id, record)
        else:
            self.waiting.hear(task_id, record)

    def _look(self, connection: RedisConnection, everything: bool = False) -> None:
        """Read the records that are due for a look."""
        due = self.waiting.due(everything)
        if due and self._endpoint.clustered:
            connection = self._records = self._records or self._endpoint.connect(2.0)
        for start in range(0, len(due), DRAIN):
            chunk = due[start : start + DRAIN]
            commands: list[tuple[Argument, ...]] = [(b"GET", keys.result(self._prefix, task_id)) for task_id in chunk]
            for task_id, raw in zip(chunk, connection.call_many(commands), strict=True):
                self._note(task_id, raw)
