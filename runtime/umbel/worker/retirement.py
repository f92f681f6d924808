"""When a child has done enough: after so many tasks, or with so much memory. It finishes what it runs; another takes its place."""

from __future__ import annotations

import os
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGESIZE") // 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may do before it is replaced; None for no bound. Memory in KiB, as Celery counts it."""

    tasks: int | None = None
    memory: int | None = None

    def __bool__(self) -> bool:
        return self.tasks is not None or self.memory is not None


class Retirement:
    """See the module.

    Args:
        bounds: of this child.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._statm = -1
        if bounds.memory is not None:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def has_run(self, tasks: int) -> bool:
        """Tell whether it may begin no other task after so many."""
        return self._bounds.tasks is not None and tasks >= self._bounds.tasks

    def is_large(self) -> bool:
        """Tell whether this process holds more memory than it may."""
        return self._bounds.memory is not None and self._resident() > self._bounds.memory

    def _resident(self) -> int:
        try:
            return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0  # a task has closed the descriptor: its child is ended for that
