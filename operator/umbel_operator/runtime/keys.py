"""What is reconciled: one resource of a user."""

from typing import NamedTuple


class Key(NamedTuple):
    """Name one resource: Broker, TaskQueue, WorkerPool or Schedule."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
