"""How late runs were enqueued, counted by how much."""

from __future__ import annotations

import threading
from bisect import bisect_left

from umbel.meters import LAG_BOUNDS


class Lag:
    """How late runs were enqueued. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(LAG_BOUNDS) + 1)
        self._total = 0.0

    def note(self, seconds: float) -> None:
        """Take in one run; a clock that was set back makes none negative."""
        late = max(0.0, seconds)
        with self._lock:
            self._counts[bisect_left(LAG_BOUNDS, late)] += 1
            self._total += late

    def spread(self) -> tuple[list[int], float]:
        """Return the counts by bucket, and the sum."""
        with self._lock:
            return self._counts.copy(), self._total
