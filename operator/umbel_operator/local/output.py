"""Understand what a process says: lines of Umbel's JSON logging, and any other text."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

_KNOWN: Final = frozenset({"time", "level", "logger", "pid", "event", "traceback"})
#: Events that tell of one task, and the word for how it ended.
_TASK_EVENTS: Final = {
    "task.success": "succeeded",
    "task.failure": "failed",
    "task.killed": "failed",
    "task.dead": "dead",
    "task.retry": "retried",
    "task.revoked": "revoked",
    "task.ignored": "ignored",
    "task.given_back": "given back",
}


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """One end of one task, as a worker told it. `word`: succeeded, failed, retried, revoked, dead, …"""

    word: str
    task: str
    task_id: str
    pod: str
    at: datetime
    runtime: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a process: a record of its log where `event` is set, else just text."""

    text: str
    level: int = logging.INFO
    event: str = ""
    at: datetime | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    traceback: str = ""

    @property
    def is_success(self) -> bool:
        """Tell whether it says no more than that a task succeeded."""
        return self.event == "task.success"

    @property
    def is_shown(self) -> bool:
        """Tell whether people want to see it; DEBUG is asked for only to hear of each task."""
        return self.level > logging.DEBUG or self.event in _TASK_EVENTS


def read_line(text: str, json_logs: bool) -> Line:
    """Read one line."""
    if not json_logs or not text.startswith("{"):
        return Line(text)
    try:
        record = json.loads(text)
        at = datetime.fromisoformat(record["time"])
        level = logging.getLevelNamesMapping().get(str(record["level"]), logging.INFO)
        event = str(record["event"])
    except (ValueError, KeyError, TypeError):
        return Line(text)
    fields = {key: value for key, value in record.items() if key not in _KNOWN}
    shown = "".join(f" {key}={_short(value)}" for key, value in fields.items())
    return Line(f"{event}{shown}", level, event, at, fields, str(record.get("traceback") or ""))


def task_end(line: Line, pod: str) -> TaskEnd | None:
    """Return what a line says of a task, None where it is about something else."""
    word = _TASK_EVENTS.get(line.event)
    if word is None or line.at is None:
        return None
    runtime = line.fields.get("runtime")
    return TaskEnd(
        word=word,
        task=str(line.fields.get("task", "?")),
        task_id=str(line.fields.get("task_id", "?")),
        pod=pod,
        at=line.at,
        runtime=float(runtime) if isinstance(runtime, int | float) else None,
        error=str(line.fields.get("error", "")),
    )


def last_words(code: int, line: str) -> str:
    """Say how a process ended, with the last line that it said."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    said = read_line(line, json_logs=True).text.strip()
    return f"ended with exit code {code}" + (f": {said}" if code and said else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text, ensure_ascii=False) if not text or any(char in text for char in ' "=\n') else text
