"""A delay that differs from schedule to schedule and stays the same for each."""

from __future__ import annotations

import hashlib
from datetime import timedelta


def jitter_of(uid: str, seconds: int) -> timedelta:
    """Return the delay of this schedule: at least 0 and less than ``seconds``, in whole milliseconds.

    Args:
        uid: the schedule's uid.
        seconds: the bound; 0 = none.
    """
    if seconds <= 0:
        return timedelta(0)
    digest = int.from_bytes(hashlib.sha256(f"{uid}/jitter".encode()).digest()[:8], "big")
    return timedelta(milliseconds=digest % (seconds * 1000))
