"""How rates are written: Celery's ``100/m``."""

from __future__ import annotations

import re
from typing import Final

_RATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([smhd]))?\s*")
_PER: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def rate_interval(rate: str | float) -> float:
    """Return the seconds between two starts of a rate limit: "100/m", "5/s", or a number a second.

    Raises:
        ValueError: it is no such text, or 0.
    """
    match = _RATE.fullmatch(str(rate))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{rate!r} is no rate: give a number and a unit, such as '100/m' (of s, m, h, d)")
    return _PER[match[2] or "s"] / float(match[1])
