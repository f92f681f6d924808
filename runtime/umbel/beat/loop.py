"""A thread that does one thing again and again, and goes on when Redis is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from umbel.broker.base import ConnectionLost
from umbel.clock import Clock
from umbel.errors import OperationalError

log = logging.getLogger("umbel.beat")

#: Seconds until the next try after an error.
RETRY_AFTER = 1.0


class Loop:
    """Calls ``work`` until it is stopped.

    Args:
        name: of the thread.
        work: does one round and returns how many seconds to wait.
        clock: its monotonic time counts.
    """

    def __init__(self, name: str, work: Callable[[], float], clock: Clock) -> None:
        self.name = name
        #: Monotonic time of the last round's end.
        self.ticked = clock.monotonic()
        self._work = work
        self._clock = clock
        self._wake = threading.Event()
        self._stopped = False
        self._away = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Begin the next round at once."""
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def join(self, timeout: float | None = None) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            wait = self._round()
            self.ticked = self._clock.monotonic()
            if wait > 0 and not self._stopped:
                self._wake.wait(wait)

    def _round(self) -> float:
        try:
            wait = self._work()
        except (OperationalError, ConnectionLost) as error:
            if not self._away:
                log.warning("redis.away", extra={"loop": self.name, "error": str(error)})
            self._away = True
            return RETRY_AFTER
        except Exception:
            log.exception("beat.failed", extra={"loop": self.name})
            return RETRY_AFTER
        if self._away:
            log.info("redis.back", extra={"loop": self.name})
            self._away = False
        return wait
