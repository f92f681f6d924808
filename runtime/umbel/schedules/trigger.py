"""What every schedule can do: say when it fires next."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable


class Trigger(Protocol):
    """A fixed set of moments (slots), at whole milliseconds, open to the future."""

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return the first slot strictly after ``t`` (aware), in UTC; None if there is none."""


@runtime_checkable
class Countable(Protocol):
    """A trigger that counts its slots faster than one by one."""

    def count_between(self, after: datetime, until: datetime, /) -> int:
        """Return how many slots lie in the interval (after, until]."""
