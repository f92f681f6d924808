"""One line for each log record: an event name and fields, as JSON or as text."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

#: Seconds between two lines of kopf about requests that failed.
SPARSE_SECONDS = 60.0

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
#: kopf hangs these on its records; they say nothing that the message does not.
_NOISE = frozenset({"k8s_skip", "k8s_ref", "settings"})


class Sparse(logging.Filter):
    """Let one of kopf's lines about failed requests pass each minute; each watch writes one every few seconds.

    A request that will be made again is a warning: kinds that were just installed answer 429 at first.

    clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed_at = float("-inf")
        self._held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide on one record; one that passes tells how many were held back before it."""
        text = str(record.msg)
        if not record.name.startswith("kopf") or not text.startswith("Request attempt"):
            return True
        if record.levelno == logging.ERROR and "will retry" in text:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        if self._clock() - self._passed_at < SPARSE_SECONDS:
            self._held += 1
            return False
        record.held_back = self._held
        self._passed_at, self._held = self._clock(), 0
        return True


def configure(format_: str, level: int = logging.INFO) -> None:
    """Send all logs to standard error.

    format_: json or text.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if format_ == "json" else _TextFormatter())
    if level > logging.DEBUG:
        handler.addFilter(Sparse())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # kopf tells of every watch and handler at INFO.
    logging.getLogger("kopf").setLevel(max(level, logging.WARNING))
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD and k not in _NOISE}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname.lower():<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
