"""Chains: signatures that follow each other, each with the result of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from umbel import canvas
from umbel.canvas.freezing import Belonging, set_parent
from umbel.canvas.plain import as_list
from umbel.canvas.signature import KINDS, Signature, as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel

R = TypeVar("R", covariant=True)


class chain(Signature[R]):  # noqa: N801 - Celery's name
    """Signatures that follow each other; each gets the result of the one before as its first argument.

    ``chain(a, b, c)`` is what ``a | b | c`` is: with a group in front of another signature it becomes a chord.

    Args:
        tasks: signatures, or one iterable of them.
        options: of the chain. ``link`` belongs to the last one, ``link_error`` to each, others to the first.
    """

    kind: ClassVar[str | None] = "chain"

    @overload
    def __new__(cls, a: Signature[R], /, *, app: Umbel | None = ..., **options: Any) -> chain[R]: ...
    @overload
    def __new__(cls, a: Any, b: Signature[R], /, *, app: Umbel | None = ..., **options: Any) -> chain[R]: ...
    @overload
    def __new__(cls, a: Any, b: Any, c: Signature[R], /, *, app: Umbel | None = ..., **options: Any) -> chain[R]: ...
    @overload
    def __new__(cls, *tasks: Any, app: Umbel | None = ..., **options: Any) -> chain[Any]: ...
    def __new__(cls, *tasks: Any, app: Umbel | None = None, **options: Any) -> Any:  # type: ignore[misc]
        """Put the parts together by the rules of ``|``."""
        listed = len(tasks) == 1 and not isinstance(tasks[0], Mapping)
        given = [as_signature(task, app) for task in (tasks[0] if listed else tasks)]
        whole = cls.of(given) if len(tasks) == 1 and not listed else canvas.fold(given)
        if options:
            whole = (whole if isinstance(whole, chain) else cls.of([whole])).set(**options)
        return whole.bind(app)

    if not TYPE_CHECKING:

        def __init__(self, *tasks: Any, **options: Any) -> None:
            """Leave what ``__new__`` made as it is."""

    @classmethod
    def of(cls, tasks: Iterable[Signature[Any]], app: Umbel | None = None) -> chain[Any]:
        """Return a chain of exactly these parts, none put together with its neighbour."""
        self = cast("chain[Any]", dict.__new__(cls))
        Signature.__init__(self, "umbel.chain", (), {"tasks": list(tasks)}, subtask_type="chain", app=app)
        return self

    @classmethod
    def _adopt(cls, kwargs: dict[str, Any], app: Umbel | None) -> None:
        kwargs["tasks"] = [as_signature(task, app) for task in kwargs.get("tasks") or ()]

    @property
    def tasks(self) -> list[Signature[Any]]:
        """The parts, in their order."""
        return cast("list[Signature[Any]]", self.kwargs["tasks"])

    @tasks.setter
    def tasks(self, tasks: Iterable[Signature[Any]]) -> None:
        self.kwargs["tasks"] = list(tasks)

    @property
    def app(self) -> Umbel:
        """The app of the first part, unless the chain was given one."""
        return self.tasks[0].app if self._app is None and self.tasks else super().app

    def _copied_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "tasks": [task.clone() for task in kwargs["tasks"]]}

    def unchain_tasks(self) -> list[Signature[Any]]:
        """Return copies of the parts, which bear the callbacks (the last) and errbacks (all) of the chain."""
        tasks = [task.clone() for task in self.tasks]
        for callback in as_list(self.options.get("link")) if tasks else ():
            tasks[-1].link(callback)
        for errback in as_list(self.options.get("link_error")):
            for task in tasks:
                task.link_error(errback)
        return tasks

    def _frozen(self, where: Belonging) -> Any:
        if not self.tasks:
            raise ValueError("an empty chain has no result: add a signature before it is frozen")
        above = Belonging(root_id=where.root_id, parent_id=where.parent_id)
        last = replace(where, task_id=where.task_id or self.options.get("task_id"))
        before: Any = None
        for index, task in enumerate(self.tasks, 1):
            result = task._frozen(last if index == len(self.tasks) else above)
            set_parent(result, before)
            before = result
        return before

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send the chain, with these arguments in front of those of the first; None if it is empty."""
        return self.apply_async(args, kwargs)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks)) if self.tasks else f"<{type(self).__name__}: empty>"


KINDS["chain"] = chain
