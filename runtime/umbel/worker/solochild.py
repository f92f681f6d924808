"""The child in the main thread of a worker that is one process (``--pool solo``)."""

from __future__ import annotations

from typing import Any

from umbel.broker.base import Delivery
from umbel.interrupting import Condemned
from umbel.states import PENDING
from umbel.worker.child import Child
from umbel.worker.pulse import verdict_of
from umbel.worker.seat import Sentence
from umbel.worker.sololimit import SoloLimit


class SoloChild(Child):
    """The child in the worker's main thread."""

    limit: SoloLimit

    def mark(self, delivery: Delivery, time_limit: float | None, exclusive: bool = False) -> None:
        super().mark(delivery, time_limit, exclusive)
        self.limit.bound(delivery.tag)

    def told(self, message: dict[str, Any]) -> bool:
        if message["what"] == "terminate":
            error, state = verdict_of(Sentence(message["why"], seconds=message["seconds"]))
            state = PENDING if message["why"] == "cold" else state  # it goes back to the queue
            self.limit.condemn(message["tag"], Condemned(error, state))
            return False
        return super().told(message)

    def deserted(self) -> None:
        """The supervisor has given up on this child, and ends the process itself."""
        self.draining = True
