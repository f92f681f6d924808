"""Writes the events of one process: what piles up goes out together, a few times a second, from a thread of its own.

Who has something to tell only appends to a list. Nothing waits for the broker: while that is away events are kept, up to a
bound, and what is beyond it is lost and counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson

from umbel.broker.base import ConnectionLost
from umbel.errors import UmbelError
from umbel.events.base import EventLog

log = logging.getLogger("umbel.events")

#: Seconds between two writes, and after one that failed.
PAUSE: Final = 0.2
PAUSE_AWAY: Final = 1.0
#: Events that wait to be written at the most, and that one write takes.
MOST: Final = 20_000
WRITE: Final = 1_000

Event = tuple[str, float, dict[str, Any]]


class Pen:
    """See the module. Thread-safe.

    Args:
        open_log: opens where events are kept; called when there is something to write.
        hostname: of the worker, in each event.
    """

    def __init__(self, open_log: Callable[[], EventLog], hostname: str) -> None:
        self.lost = 0  #: events that were not written
        self._open = open_log
        self._log: EventLog | None = None
        self._hostname = hostname
        self._pending: deque[Event] = deque()
        self._begin()
        # A forked process has neither the thread nor what the parent was about to write.
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(own))

    def _begin(self) -> None:
        self._pending.clear()
        self._wake = threading.Event()
        self._done = threading.Condition()
        self._closing = threading.Event()
        self._awake = False
        self._writing = False
        self._thread: threading.Thread | None = None

    def put(self, type: str, **fields: Any) -> None:
        """Take an event; ``timestamp`` is now unless it is among the fields."""
        if len(self._pending) >= MOST:
            self.lost += 1
            return
        self._pending.append((type, time.time(), fields))
        if not self._awake:
            self._awake = True
            if self._thread is None:
                self._start()
            self._wake.set()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all that was taken is written; return whether it is."""
        with self._done:
            return self._done.wait_for(lambda: not (self._pending or self._writing), timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Write what is left, if the broker allows it, and end."""
        self._closing.set()
        if self._thread is not None:
            self._awake = True
            self._wake.set()
            self._thread.join(timeout)
        atexit.unregister(self.close)

    def _start(self) -> None:
        with self._done:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="umbel-events", daemon=True)
            self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._awake = False  # first: whatever is taken from here on wakes again
            written = self._write()
            if self._closing.is_set():
                self.lost += len(self._pending)
                if self._log is not None:
                    self._log.close()
                return
            if not written:
                self._wake.set()
            self._closing.wait(PAUSE if written else PAUSE_AWAY)

    def _write(self) -> bool:
        """Write what is there; False if the broker does not take it."""
        while self._pending:
            self._writing = True
            batch = [self._pending.popleft() for _ in range(min(WRITE, len(self._pending)))]
            away: Exception | None = None
            try:
                if self._log is None:
                    self._log = self._open()
                self._log.write(self._encode(batch))
            except (UmbelError, ConnectionLost) as error:
                away = error
            finally:
                # In one step for who flushes: else these were neither waiting nor being written for a moment.
                with self._done:
                    if away is not None:
                        self._keep(batch, away)
                    self._writing = False
                    self._done.notify_all()
            if away is not None:
                return False
        return True

    def _keep(self, batch: list[Event], error: Exception) -> None:
        """Try these again later, as far as there is room."""
        room = max(0, MOST - len(self._pending))
        lost = max(0, len(batch) - room)
        self.lost += lost
        self._pending.extendleft(reversed(batch[lost:]))
        log.debug("events.put_off", extra={"count": len(self._pending), "lost": self.lost, "error": str(error)})

    def _encode(self, batch: list[Event]) -> list[bytes]:
        own = {"hostname": self._hostname, "pid": os.getpid(), "utcoffset": _utcoffset()}
        found = []
        for type, when, fields in batch:
            event = {"type": type, "timestamp": when, **own, **fields}
            try:
                found.append(orjson.dumps(event, default=repr, option=_OPTIONS))
            except orjson.JSONEncodeError:
                found.append(orjson.dumps({name: repr(value) for name, value in event.items()}))
        return found


_OPTIONS: Final = orjson.OPT_NON_STR_KEYS


def _forked(own: weakref.ref[Pen]) -> None:
    pen = own()
    if pen is not None:
        pen._begin()
        pen._log = None


def _utcoffset() -> int:
    """Return how many hours local time is behind UTC, as Celery counts."""
    local = time.localtime()
    return -(local.tm_gmtoff // 3600)
