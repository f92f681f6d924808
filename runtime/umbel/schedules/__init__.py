"""When things are due: two cron grammars, intervals, single moments, and what to do about missed ones. No I/O."""

from umbel.schedules.build import build_trigger
from umbel.schedules.cron import Cron
from umbel.schedules.crontab import crontab
from umbel.schedules.errors import InvalidSchedule, UnknownTimeZone
from umbel.schedules.interval import Every, Interval
from umbel.schedules.once import Once
from umbel.schedules.trigger import Trigger

__all__ = [
    "Cron",
    "Every",
    "Interval",
    "InvalidSchedule",
    "Once",
    "Trigger",
    "UnknownTimeZone",
    "build_trigger",
    "crontab",
]
