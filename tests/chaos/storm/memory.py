"""What a process holds of its machine: memory and descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Resident memory in MiB, and open descriptors."""

    mebibytes: float
    descriptors: int


def size_of(pid: int) -> Size:
    """Return the size of a process.

    Raises:
        OSError: it is gone.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    (kibibytes,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")] or [0]
    return Size(kibibytes / 1024, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
