"""What a caller holds of a task: its id, its state, and what it returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from umbel.errors import TimeoutError
from umbel.result import walking
from umbel.result.acting import asked
from umbel.result.awaited import AwaitedResult
from umbel.result.base import lineage_of

if TYPE_CHECKING:
    from umbel.result.graph import ResultGraph
    from umbel.result.group import GroupResult

R = TypeVar("R")


class AsyncResult(AwaitedResult[R]):
    """The result of one task, there or still to come.

    Args:
        id: of the task.
        backend: that is asked; the app's unless given.
        task_name: for messages only.
        app: that sent it; the current one unless given.
        parent: the result of what had to end before this task began, as in a chain.
        ignored: the task stores no result, so that there is nothing to wait for.
        inbox: to which the worker replies, if the message names one.
    """

    __slots__ = ()

    #: What `get` raises when the time is over.
    TimeoutError = TimeoutError

    @property
    def children(self) -> list[AsyncResult[Any] | GroupResult[Any]]:
        """The results of what the task sent, and of what followed upon it; known once it has ended."""
        return [self.app.result_from_tuple(form) for form in self._meta("children") or ()]

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield this result and all that descends from it, each as (parent, result).

        Args:
            intermediate: pass over what has not ended, in place of raising.

        Raises:
            IncompleteStream: a task has not ended, so that its children are not known.
        """
        return walking.iterdeps(self, intermediate)

    def collect(self, intermediate: bool = False, **get: Any) -> Iterator[tuple[Any, Any]]:
        """Yield this result and all that descends from it, each with its value: (result, value).

        Args:
            intermediate: as for `iterdeps`.
            get: options of `get`.
        """
        for _, result in self.iterdeps(intermediate):
            yield result, result.get(**get)

    def get_leaf(self) -> Any:
        """Return the value of what descends from this task and ended last in line."""
        leaf: Any = self
        for _, leaf in self.iterdeps():
            leaf.get()
        return leaf.get()

    @property
    def graph(self) -> ResultGraph:
        """The workflow that the task belongs to, else the task and all that descends from it as far as it is known."""
        return self.build_graph(intermediate=True)

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> ResultGraph:
        """Return what `graph` is.

        Args:
            intermediate: pass over tasks that have not ended, in place of raising, where this is no workflow.
            formatter: kept for Celery's users, without effect: see `umbel.result.drawing`.

        Raises:
            IncompleteStream: as `iterdeps`.
        """
        from umbel.result import graph

        return graph.of_workflow(self.app, self.id) or graph.of_result(self, intermediate)

    def throw(self, *error: Any) -> Any:
        """Raise what the task raised, or the exception that is given."""
        if error:
            raise error[0]
        return self.maybe_throw()

    def forget(self) -> None:
        """Delete the stored result, and those of the tasks before this one."""
        for result in lineage_of(self):
            result._forget()

    def _forget(self) -> None:
        self._final = None
        self.backend.forget(self.id)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Keep all tasks from running that bear one of these stamps, not only this one.

        Args:
            headers: each name of a stamp with a value, or a list of them.
            connection, terminate, signal, wait, timeout: see `revoke`.
        """
        how = asked(wait, timeout)
        return self.app.control.revoke_by_stamped_headers(headers, terminate=terminate, signal=signal, **how)

    def _leaves(self) -> list[AsyncResult[Any]]:
        return [self]

    def as_list(self) -> list[str]:
        """Return the id of the task, and of those before it, the nearest first."""
        return [result.id or "" for result in lineage_of(self)]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return bool(self.id == other.id)
        return self.id == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> AsyncResult[R]:
        return AsyncResult(
            self.id, self._backend, self.task_name, self._app, self.parent, ignored=self.ignored, inbox=self._inbox
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.id, self.task_name, self.parent, self.ignored)


def _restored(task_id: str, task_name: str | None, parent: Any, ignored: bool) -> AsyncResult[Any]:
    return AsyncResult(task_id, task_name=task_name, parent=parent, ignored=ignored)
