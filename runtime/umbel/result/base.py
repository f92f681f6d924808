"""What results of all kinds have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ResultBase:
    """Base of the results of one task and of several."""

    __slots__ = ()

    id: str | None
    #: The result of what had to end before this one began, as in a chain.
    parent: ResultBase | None

    def __json__(self) -> tuple[Any, Any]:
        """Return what a task that returns a result stores of it; `result_from_tuple` makes a result of it again."""
        return self.as_tuple()

    def as_tuple(self) -> tuple[Any, Any]:
        """Return Celery's form of a result, which JSON can carry: ``((id, parent), children)``; see `result_from_tuple`."""
        lineage = lineage_of(self)
        made: tuple[Any, Any] | None = None
        for result in reversed(lineage):  # a chain may be longer than a stack
            made = ((result.id, made), result._members_as_tuples())
        assert made is not None
        return made

    def _members_as_tuples(self) -> list[tuple[Any, Any]] | None:
        return None


class Node(Protocol):
    """A result that others descend from."""

    def ready(self) -> bool: ...

    @property
    def children(self) -> Sequence[Any] | None: ...


def lineage_of(result: Any) -> list[Any]:
    """Return a result and all that it follows upon, the nearest first."""
    found = [result]
    while result.parent is not None:
        result = result.parent
        found.append(result)
    return found
