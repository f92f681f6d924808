"""What can be wrong with a schedule; both are ValueErrors, and their text says what to write in its place."""

from __future__ import annotations


class InvalidSchedule(ValueError):
    """A cron expression, an interval or a time cannot be used, or can never fire."""


class UnknownTimeZone(ValueError):
    """A time zone is not in the IANA data base."""
