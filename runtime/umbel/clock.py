"""Time, as something that is handed in: every long-lived part takes a Clock, tests give it a ManualClock."""

from __future__ import annotations

import math
import time
from typing import Protocol


def full_milliseconds(seconds: float) -> int:
    """Return ``seconds`` in milliseconds, rounded up: what is to wait so long is never ready earlier.

    What a float lacks of a whole number of milliseconds is no reason for one more.
    """
    return max(0, math.ceil(round(seconds * 1000.0, 3)))


def wall_ms() -> int:
    """Return this machine's wall clock in milliseconds since the Unix epoch: for people to read, never to be compared."""
    return int(time.time() * 1000)


class Clock(Protocol):
    """A source of time."""

    def time(self) -> float:
        """Return the wall clock, in seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Return seconds that never jump and never run backwards."""


class SystemClock:
    """The clocks of this machine."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        now: seconds since the Unix epoch at the start.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._wall = now
        self._monotonic = 1000.0

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let both clocks run on by ``seconds``."""
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does; the monotonic one stays."""
        self._wall += seconds


SYSTEM_CLOCK = SystemClock()
