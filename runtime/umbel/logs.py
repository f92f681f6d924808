"""Logging of command-line processes: an event name and fields, as text or as JSON (``UMBEL_LOG_FORMAT``). Never a secret.

Callers write ``log.info("task failed", extra={"task": name, "id": task_id})``; the fields are whatever ``extra`` holds.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import datetime, timezone
from typing import Any, Final, TextIO

from umbel.config import censor
from umbel.errors import ImproperlyConfigured

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS: Final = ("text", "json")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLORS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m", "DEBUG": "\x1b[2m"}
_RESET: Final = "\x1b[0m"

#: The logger above those of all modules of tasks.
TASK_LOGGER: Final = "umbel.task"

get_logger = logging.getLogger


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger for a module of tasks."""
    return logging.getLogger(f"{TASK_LOGGER}.{name}")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: censor(key, value) for key, value in vars(record).items() if key not in _STANDARD}


def _when(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)  # noqa: UP017 - as elsewhere
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """One line for people: time, level, process, event, then ``name=value`` fields."""

    def __init__(self, *, color: bool = False) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it."""
        level = f"{record.levelname:<8}"
        if self._color and record.levelname in _COLORS:
            level = f"{_COLORS[record.levelname]}{level}{_RESET}"
        fields = "".join(f" {key}={_short(value)}" for key, value in _fields(record).items())
        line = f"{_when(record)} {level} [{record.process}] {record.name}: {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text) if not text or any(char in text for char in ' "=\n') else text


class JSONFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``pid``, ``event``, the fields, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": _when(record),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def level_of(name: str) -> int:
    """Return the level of a name, in any case.

    Raises:
        ImproperlyConfigured: there is none of this name.
    """
    if name.upper() not in LEVELS:
        raise ImproperlyConfigured(f"there is no log level {name!r}; choose one of {', '.join(LEVELS)}")
    return int(getattr(logging, name.upper()))


def setup_logging(level: str = "INFO", *, format: str | None = None, stream: TextIO | None = None) -> None:
    """Set up the root logger of this process; what was set up before is replaced.

    Args:
        level: the lowest level that is shown.
        format: ``text`` or ``json``; the environment's ``UMBEL_LOG_FORMAT`` unless given, else text.
        stream: where to; the standard error unless given.

    Raises:
        ImproperlyConfigured: an unknown level or format.
    """
    number = level_of(level)
    chosen = format or os.environ.get("UMBEL_LOG_FORMAT") or "text"
    if chosen not in FORMATS:
        raise ImproperlyConfigured(f"there is no log format {chosen!r} (UMBEL_LOG_FORMAT); choose text or json")
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    color = chosen == "text" and stream.isatty() and "NO_COLOR" not in os.environ
    handler.setFormatter(JSONFormatter() if chosen == "json" else TextFormatter(color=color))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
