"""The connections of one client process, handed out one at a time; a forked process starts with none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from umbel.errors import OperationalError
from umbel.redis.connection import PASSING, ConnectionBroken, Endpoint, RedisConnection, ServerRefused

T = TypeVar("T")

#: Seconds between two tries to reach Redis within one deadline: first, longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
#: A connection that was idle for longer than this many seconds is looked at before it is used.
TRUST = 0.1


class Pool:
    """Connections to one endpoint. Thread-safe; as many as there are threads that talk at the same moment.

    Args:
        endpoint: where to connect.
        deadline: seconds for one `run` in all, tries and pauses included.
    """

    def __init__(self, endpoint: Endpoint, deadline: float = 5.0) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self._idle: list[RedisConnection] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def run(self, work: Callable[[RedisConnection], T], *, deadline: float | None = None, repeat: bool = False) -> T:
        """Call ``work`` with a connection; try again while nothing can have been sent and time is left.

        Args:
            work: gets the connection.
            deadline: seconds in all; the pool's own if None.
            repeat: the work may be done twice, so try again also when it may have been sent.

        Raises:
            OperationalError: Redis cannot be reached in time, or refuses.
            ConnectionBroken: it broke after sending, and ``repeat`` is False.
        """
        seconds = self.deadline if deadline is None else deadline
        until = time.monotonic() + seconds
        pause = FIRST_PAUSE
        while True:
            try:
                with self._borrow(max(0.05, until - time.monotonic())) as connection:
                    return work(connection)
            except ConnectionBroken as error:
                if error.sent and not repeat:
                    raise
                cause: Exception = error
            except ServerRefused as error:
                if error.code not in PASSING:
                    raise
                cause = error
            if time.monotonic() + pause >= until:
                raise OperationalError(
                    f"Redis at {self.endpoint.address} cannot be reached within {seconds:g} s ({cause}): "
                    "check that it runs and that the broker URL is right"
                ) from cause
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    @contextmanager
    def _borrow(self, timeout: float) -> Iterator[RedisConnection]:
        connection = self._take() or self.endpoint.connect(timeout)
        try:
            yield connection
        except ServerRefused:
            self._give(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._give(connection)

    def _take(self) -> RedisConnection | None:
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    self._idle, self._pid = [], os.getpid()
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if time.monotonic() - connection.idle_since < TRUST or not connection.stale():
                return connection
            connection.close()

    def _give(self, connection: RedisConnection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            if connection.pid == self._pid == os.getpid():
                self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by nobody but their user."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            if connection.pid == os.getpid():
                connection.close()
