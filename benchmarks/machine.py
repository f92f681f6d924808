"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from benchmarks.server import find_binary


def describe() -> dict[str, object]:
    """Return the machine, kernel, Python, Redis and the load now."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "redis": _redis_version(),
        "load_before": load(),
    }


def load() -> float:
    """Return how many processes ran or wanted to, on the average of the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    """Return the model name from /proc/cpuinfo."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _redis_version() -> str:
    """Return what the server says of itself, up to its version."""
    done = subprocess.run([str(find_binary()), "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:3])
