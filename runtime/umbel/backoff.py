"""How long to wait before the next try."""

from __future__ import annotations

import random


def exponential(tries: int, *, factor: float = 1.0, cap: float = 600.0, jitter: bool = True) -> float:
    """Return the seconds to wait after ``tries`` failures: ``min(cap, factor * 2**tries)``, with full jitter if asked.

    Args:
        tries: failures so far, from 0.
        factor: seconds of the first wait.
        cap: the longest wait, in seconds.
        jitter: draw the wait evenly between 0 and the computed value.
    """
    wait = min(cap, factor * 2.0 ** min(tries, 60))
    return random.uniform(0.0, wait) if jitter else wait
