"""Events in the memory of one process, for tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.events.base import BEGINNING, Bounds


class _Kept:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events: deque[tuple[tuple[int, int], bytes]] = deque()
        self.last = (0, 0)


_kept: dict[tuple[str, str], _Kept] = {}
_lock = threading.Lock()


class MemoryEvents:
    """See `umbel.events.base.EventLog`.

    Args:
        url: ``memory://<name>``; those of one name and prefix share what they keep.
        prefix: of all keys.
        bounds: how much is kept.
        clock: tells what is too old.
    """

    def __init__(self, url: str, *, prefix: str, bounds: Bounds | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        with _lock:
            self._store = _kept.setdefault((url, prefix), _Kept())
        self._bounds = bounds or Bounds()
        self._clock = clock

    def write(self, events: Sequence[bytes]) -> None:
        with self._store.changed:
            store = self._store
            now = int(self._clock.time() * 1000)
            for event in events:
                when, number = store.last
                store.last = (now, 0) if now > when else (when, number + 1)
                store.events.append((store.last, event))
            while store.events and (
                len(store.events) > self._bounds.most or store.events[0][0][0] < now - self._bounds.age * 1000
            ):
                store.events.popleft()
            store.changed.notify_all()

    def read(self, after: str, count: int, wait: float = 0.0) -> list[tuple[str, bytes]]:
        mark = _mark(after)
        with self._store.changed:
            events = self._store.events
            if wait > 0:
                self._store.changed.wait_for(lambda: events and events[-1][0] > mark, wait)
            return [(_text(position), event) for position, event in events if position > mark][:count]

    def newest(self) -> str:
        with self._store.changed:
            return _text(self._store.events[-1][0]) if self._store.events else BEGINNING

    def ago(self, seconds: float) -> str:
        return f"{max(0, int((self._clock.time() - seconds) * 1000))}-0"

    def close(self) -> None:
        """There is nothing to close."""


def _mark(position: str) -> tuple[int, int]:
    when, _, number = position.partition("-")
    return int(when), int(number or 0)


def _text(position: tuple[int, int]) -> str:
    return f"{position[0]}-{position[1]}"
