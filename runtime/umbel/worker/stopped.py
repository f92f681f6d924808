"""Children that were stopped (SIGSTOP, a debugger) under a living supervisor: they hold their messages, so that nobody runs them.

Their owner is alive, since the supervisor beats for it, so no reaper helps. It is told, counted, and ended where that is wanted.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence

from umbel.worker.seat import Seat

log = logging.getLogger("umbel.worker")

#: Seconds that a child stands still until it is told, and seconds between two looks.
TELL_AFTER = 60.0
LOOK_EVERY = 1.0


class StoppedChildren:
    """See the module. Used by the supervisor's main thread.

    Args:
        seats: of all children.
        kill_after: seconds until such a child is killed, None for never; it is told after half of that at the latest. What it ran
            is charged, as with any child that dies.
    """

    def __init__(self, seats: Sequence[Seat], kill_after: float | None) -> None:
        self._seats = seats
        self._kill_after = kill_after
        self._tell_after = TELL_AFTER if kill_after is None else min(TELL_AFTER, kill_after / 2)
        self._since: dict[int, float] = {}
        self._told: set[int] = set()
        self._next_look = 0.0

    @property
    def count(self) -> int:
        """How many have stood still for so long that it was told."""
        return len(self._told)

    def look(self, now: float) -> None:
        """Look at all children, at most once a second.

        Args:
            now: monotonic time.
        """
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        stopped = {seat.pid for seat in self._seats if seat.pid and state_of(seat.pid) in ("T", "t")}
        self._since = {pid: self._since.get(pid, now) for pid in stopped}
        for pid in self._told - stopped:
            log.warning("child.goes_on", extra={"child": pid})
        self._told &= stopped
        for pid, since in self._since.items():
            self._judge(pid, now - since)

    def _judge(self, pid: int, seconds: float) -> None:
        if seconds >= self._tell_after and pid not in self._told:
            self._told.add(pid)
            hint = "somebody stopped it (SIGSTOP): kill -CONT lets it go on, kill -KILL gives its tasks to others"
            log.warning("child.stopped", extra={"child": pid, "seconds": round(seconds), "hint": hint})
        if self._kill_after is not None and seconds >= self._kill_after:
            log.warning("child.killed", extra={"child": pid, "reason": f"stopped for {seconds:.0f} s"})
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """Return the state of a process as the kernel tells it, "X" for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
