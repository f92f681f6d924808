"""Loads to simulate: how many tasks arrive in each minute, and what else happens meanwhile."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from umbel_operator.api.autoscaling import QueueScaling

FOLDER = Path(__file__).parent / "loads"


@dataclass(frozen=True)
class Case:
    """A load with the pool that works it off. Times are seconds."""

    name: str
    title: str
    settings: QueueScaling
    #: Tasks that one pod runs at once.
    slots: int = 4
    #: How long a task runs, on average.
    runtime: float = 5.0
    #: From the creation of a pod until it takes tasks.
    startup: float = 20.0
    #: Pods at the beginning.
    replicas: int = 1
    #: Every so many seconds a Schedule is due, None without one, and how many tasks that brings.
    schedule: int | None = None
    scheduled_tasks: int = 0
    #: (from, to) in which no sample of the load comes.
    silences: tuple[tuple[int, int], ...] = field(default=())

    @property
    def file(self) -> Path:
        """Return the file with the load."""
        return FOLDER / f"{self.name}.csv"


def read(file: Path) -> list[int]:
    """Read the tasks of each minute from a CSV file with the columns `minute` and `tasks`, one row for each minute.

    Raises:
        ValueError: a row is missing or is no number.
    """
    with file.open(encoding="utf-8", newline="") as rows:
        found = list(csv.DictReader(rows))
    for number, row in enumerate(found):
        if row.get("minute") != str(number) or not (row.get("tasks") or "").isdigit():
            raise ValueError(f"{file}: row {number + 1} must be minute {number} and a number of tasks, not {row}")
    return [int(row["tasks"]) for row in found]


def _settings(**given: Any) -> QueueScaling:
    return QueueScaling.model_validate(given)


CASES = (
    Case(
        "day",
        "A working day",
        _settings(minReplicas=1, maxReplicas=20, tasksPerReplica=8),
    ),
    Case(
        "burst",
        "Ten thousand tasks at once",
        _settings(minReplicas=0, maxReplicas=40, tasksPerReplica=20),
        replicas=0,
    ),
    Case(
        "nights",
        "A report every two hours, and little else",
        _settings(minReplicas=0, maxReplicas=10, tasksPerReplica=4),
        runtime=30.0,
        replicas=0,
        schedule=7200,
        scheduled_tasks=24,
    ),
    Case(
        "blind",
        "Eight minutes without a sample, in the middle of a rise",
        _settings(minReplicas=1, maxReplicas=20, tasksPerReplica=8),
        silences=((1200, 1680),),
    ),
)
