"""A single moment."""

from __future__ import annotations

from datetime import UTC, datetime

from umbel.schedules.errors import InvalidSchedule


class Once:
    """Fires at one moment, and never again.

    Args:
        time: the moment (aware).

    Raises:
        InvalidSchedule: the time has no zone.
    """

    def __init__(self, time: datetime) -> None:
        if time.tzinfo is None:
            raise InvalidSchedule(f"the time {time} of a Once trigger needs a zone: write 2026-01-01T00:00:00Z")
        self.time = time.astimezone(UTC)

    def next_after(self, t: datetime, /) -> datetime | None:
        """Return the moment if it lies after ``t`` (aware), else None."""
        return self.time if self.time > t else None

    def count_between(self, after: datetime, until: datetime, /) -> int:
        """Return 1 if the moment lies in (after, until], else 0."""
        return int(after < self.time <= until)

    def __str__(self) -> str:
        return f"once at {self.time:%Y-%m-%dT%H:%M:%SZ}"

    def __repr__(self) -> str:
        return f"Once({self.time.isoformat()!r})"
