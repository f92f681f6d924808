"""No result backend: ``result_backend = "disabled"``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NoReturn

from umbel.errors import ResultsDisabled
from umbel.record import Record
from umbel.results.base import End, Tell


class DisabledResults:
    """Stores nothing, and says so to who asks; see `umbel.results.base.Results`."""

    needs_cleaning = False

    def inbox(self) -> str | None:
        return None

    def get(self, task_id: str) -> Record | None:
        self._refuse(task_id)

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        return [self.get(task_id) for task_id in task_ids]

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        return False

    def store_ends(self, ends: Sequence[End]) -> None:
        """Store nothing."""

    def clean_up(self) -> int:
        return 0

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        self._refuse(task_id)

    def wait_many(self, tasks: Sequence[tuple[str, str | None]]) -> list[Future[Record]]:
        return [self.wait(*task) for task in tasks]

    def wait_for(self, task_id: str, timeout: float | None = None, inbox: str | None = None) -> Record:
        self._refuse(task_id)

    def listen(self, task_id: str, tell: Tell) -> Callable[[], None]:
        self._refuse(task_id)

    def forget(self, task_id: str) -> None:
        """Nothing is stored."""

    def close(self) -> None:
        """Nothing is open."""

    def _refuse(self, task_id: str) -> NoReturn:
        raise ResultsDisabled(
            f"nothing is known of task {task_id}: the setting result_backend is 'disabled', so that no results are stored. "
            "Leave it out to keep them in the broker"
        )
