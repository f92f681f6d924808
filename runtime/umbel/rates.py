"""How many tasks may start in which time: ``100/m``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from umbel.errors import ImproperlyConfigured

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE: Final = re.compile(r"(?P<tasks>\d+(\.\d+)?)(/(?P<unit>[smhd]))?")
#: Seconds of the rate that may start at once after a quiet time, unless `burst` is given. Waking up takes a moment, and what is
#: late by less than this is made up for.
BURST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rate limit.

    Args:
        tasks: how many may start in one period.
        period: in seconds.
        burst: how many may start at once after a quiet time; as many as start in a tenth of a second unless given, at least one.
    """

    tasks: float
    period: float = 1.0
    burst: int | None = None

    @property
    def at_once(self) -> int:
        """How many may start at once."""
        return self.burst or max(1, int(self.tasks / self.period * BURST_SECONDS))

    @classmethod
    def read(cls, text: str, burst: int | None = None) -> RateLimit:
        """Return the limit that ``100/m`` stands for: tasks per second, minute, hour (h) or day (d); per second without a unit.

        Raises:
            ImproperlyConfigured: it is none.
        """
        match = _RATE.fullmatch(text.strip())
        if match is None or float(match["tasks"]) <= 0:
            raise ImproperlyConfigured(
                f"{text!r} is no rate: give tasks per second, minute, hour or day, such as 100/m"
            )
        return cls(float(match["tasks"]), _UNITS[match["unit"] or "s"], burst)

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _UNITS.items() if seconds == self.period), f"{self.period:g}s")
        return f"{self.tasks:g}/{unit}"
