"""Count task runs outside Redis: one memory-mapped file of eight bytes for each process that runs tasks.

`tick()` costs about a tenth of a microsecond, so counting does not show in what is measured. Standard library only:
the task bodies import it in every peer's environment.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

_SUFFIX = ".count"
_SIZE = 8

_cells: memoryview | None = None


def tick() -> None:
    """Count one task run of this process. One thread a process may call it."""
    global _cells
    if _cells is None:
        _cells = _create(Path(os.environ["BENCH_COUNTERS"]))
    _cells[0] += 1


def _create(directory: Path) -> memoryview:
    """Map a new counter file for this process."""
    with open(directory / f"{os.getpid()}{_SUFFIX}", "x+b") as file:
        file.truncate(_SIZE)
        return memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("Q")


def _forget() -> None:
    """Make a forked child count for itself."""
    global _cells
    _cells = None


os.register_at_fork(after_in_child=_forget)


class CounterReader:
    """Read the counters of all processes that count in one directory, while they count."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cells: dict[int, memoryview] = {}

    def read(self) -> dict[int, int]:
        """Return process id -> task runs so far. Processes that have not run a task yet are missing."""
        for entry in os.scandir(self._directory):
            if entry.name.endswith(_SUFFIX) and entry.stat().st_size == _SIZE:
                pid = int(entry.name.removesuffix(_SUFFIX))
                if pid not in self._cells:
                    with open(entry.path, "r+b") as file:
                        self._cells[pid] = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("Q")
        return {pid: cells[0] for pid, cells in self._cells.items()}
