"""The connections of one client process, handed out one at a time; a forked process starts with none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from umbel.errors import OperationalError
from umbel.redis.connection import MOVED_ON, PASSING, ConnectionBroken, RedisConnection, ServerRefused
from umbel.redis.endpoint import Endpoint

T = TypeVar("T")

#: Seconds between two tries to reach Redis within one deadline: first, longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
#: A connection that was idle for longer than this many seconds is looked at before it is used.
TRUST = 0.1
#: One that was idle for longer than this is closed when another is given back: a burst of threads has left it behind.
KEEP = 60.0


class Pool:
    """Connections to one endpoint. Thread-safe; as many as there are threads that talk at the same moment.

    Without a lock, since lists append and pop at once, and a lock might be held by another thread at the moment of a fork.

    Args:
        endpoint: where to connect.
        deadline: seconds for one `run` in all, tries and pauses included.
    """

    def __init__(self, endpoint: Endpoint, deadline: float = 5.0) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self._idle: list[RedisConnection] = []
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
        now = time.monotonic()
        until = now + seconds
        pause = FIRST_PAUSE
        while True:
            try:
                return self._once(work, now, until)
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
            now = time.monotonic()

    def _once(self, work: Callable[[RedisConnection], T], now: float, until: float) -> T:
        taken = self._take(now)
        idle = self._idle  # before it connects, which may take long: the pool may be closed meanwhile
        connection = taken or self.endpoint.connect(max(0.05, until - now))
        try:
            answer = work(connection)
        except ServerRefused as error:
            if error.code in MOVED_ON:
                connection.close()
            else:
                self._give(connection, idle)
            raise
        except BaseException:
            connection.close()
            raise
        self._give(connection, idle)
        return answer

    def _take(self, now: float) -> RedisConnection | None:
        if self._pid != os.getpid():
            # This order: a second thread that gets here too only drops what the first may have given back by then.
            self._idle, self._pid = [], os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if now - connection.idle_since < TRUST or not connection.stale():
                return connection
            connection.close()

    def _give(self, connection: RedisConnection, idle: list[RedisConnection]) -> None:
        """Keep a connection for the next one, in the list that was there when it was taken."""
        connection.idle_since = now = time.monotonic()
        if connection.pid != self._pid:
            return
        idle.append(connection)
        if self._idle is not idle:  # the pool was closed meanwhile: whoever finds it here closes it
            _close_all(idle)
        elif len(idle) > 1:
            _drop_one(idle, now)

    def close(self) -> None:
        """Close the idle connections, and those in use once they are given back; who calls later connects anew."""
        idle, self._idle = self._idle, []
        if self._pid == os.getpid():
            _close_all(idle)


def _close_all(idle: list[RedisConnection]) -> None:
    """Close what is in a list that nobody takes from any more; several threads may do so at once."""
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return
        connection.close()


def _drop_one(idle: list[RedisConnection], now: float) -> None:
    """Close the connection that was idle longest, if that is too long: what was given back last is taken first."""
    try:
        if now - idle[0].idle_since <= KEEP:
            return
        oldest = idle.pop(0)
    except IndexError:
        return  # other threads have taken them
    if now - oldest.idle_since > KEEP:
        oldest.close()
    else:
        idle.append(oldest)
