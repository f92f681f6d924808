"""The results of a group of tasks: a set with an id, which can be stored and found again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from umbel.context import current_app
from umbel.record import Record
from umbel.result.several import ResultSet
from umbel.result.single import AsyncResult

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.results.base import Results

R = TypeVar("R")

#: The state of the record that keeps a group's members. No task has such an id or such a state.
_STATE = "GROUP"


class GroupResult(ResultSet[R]):
    """The results of the tasks of a group, in order. It is always true, also where it is empty.

    Args:
        id: of the group.
        results: of its members.
        parent: the result of what had to end before the group began, as in a chain.
        app: whose results they are.
    """

    id: str
    parent: AsyncResult[Any] | GroupResult[Any] | None

    def __init__(
        self,
        id: str,
        results: Iterable[Any] = (),
        parent: AsyncResult[Any] | GroupResult[Any] | None = None,
        app: Umbel | None = None,
    ) -> None:
        super().__init__(results, app)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> list[Any]:
        """The results of the members."""
        return self.results

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return self.id == other.id and self.results == other.results and self.parent == other.parent
        return self.id == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(map(str, self.results))}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return GroupResult, (self.id, self.results, self.parent)

    def _members_as_tuples(self) -> list[tuple[Any, Any]]:
        return [result.as_tuple() for result in self.results]

    def as_list(self) -> list[str]:
        """Return the ids of the members."""
        return [result.id for result in self.results]

    def _forget(self) -> None:
        for result in self.results:
            result._forget()

    # -- keeping it

    def save(self, backend: Results | None = None) -> GroupResult[R]:
        """Store which tasks are members, for as long as results are kept; `restore` finds them by the group's id.

        Args:
            backend: where; the app's unless given.
        """
        form = orjson.dumps(self.as_tuple())
        store = backend or self.app.results
        store.forget(_key(self.id))
        store.store(_key(self.id), Record(_STATE, form, 0, int(time.time() * 1000)), self.app.conf.result_ttl)
        return self

    def delete(self, backend: Results | None = None) -> None:
        """Delete what `save` stored; the results of the members stay."""
        (backend or self.app.results).forget(_key(self.id))

    @classmethod
    def restore(cls, id: str, backend: Results | None = None, app: Umbel | None = None) -> GroupResult[Any] | None:
        """Return the group that was saved under an id, None if there is none.

        Args:
            id: of the group.
            backend: where it was saved; the app's unless given.
            app: whose results they are; the current one unless given.
        """
        app = app or current_app()
        record = (backend or app.results).get(_key(id))
        if record is None:
            return None
        group = app.result_from_tuple(orjson.loads(record.value))
        assert isinstance(group, GroupResult)
        return group


def bound_to(app: Umbel) -> type[GroupResult[Any]]:
    """Return the class with an app of its own."""

    class Bound(GroupResult[Any]):
        def __init__(self, id: str, results: Iterable[Any] = (), parent: Any = None, app: Umbel | None = app) -> None:
            super().__init__(id, results, parent, app)

        @classmethod
        def restore(cls, id: str, backend: Results | None = None, app: Umbel | None = app) -> GroupResult[Any] | None:
            return GroupResult.restore(id, backend, app)

    Bound.__name__ = Bound.__qualname__ = "GroupResult"
    return Bound


def _key(group_id: str) -> str:
    return f"group:{group_id}"
