"""Groups: signatures that are sent together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from umbel.canvas.freezing import Belonging, group_result
from umbel.canvas.gathered import Gathered
from umbel.canvas.lazy import Lazy
from umbel.canvas.signature import KINDS, Signature, as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.result import GroupResult

R = TypeVar("R", covariant=True)


class group(Gathered[list[R]]):  # noqa: N801 - Celery's name
    """Signatures that are sent together; the result is that of each, in their order.

    Args:
        tasks: signatures, or one iterable of them. A generator is read only when the group is sent, or looked at.
        options: of the group: ``task_id`` is its id.
    """

    kind: ClassVar[str | None] = "group"
    held: ClassVar[str] = "tasks"

    @overload
    def __init__(self, *tasks: Signature[R], app: Umbel | None = ..., **options: Any) -> None: ...
    @overload
    def __init__(self, tasks: Iterable[Signature[R]], /, *, app: Umbel | None = ..., **options: Any) -> None: ...
    def __init__(self, *tasks: Any, app: Umbel | None = None, **options: Any) -> None:  # type: ignore[misc]
        super().__init__("umbel.group", (), {"tasks": members(tasks, app)}, options, subtask_type="group", app=app)

    @classmethod
    def _adopt(cls, kwargs: dict[str, Any], app: Umbel | None) -> None:
        kwargs["tasks"] = members((kwargs.get("tasks") or (),), app)

    @property
    def app(self) -> Umbel:
        """The app of the first member, unless the group was given one."""
        return self.tasks[0].app if self._app is None and self.tasks else super().app

    def flat(self) -> Iterator[Signature[Any]]:
        """Yield the members, those of groups in the group in their place; empty chains are left out."""
        for task in self.tasks:
            if isinstance(task, group):
                yield from task.flat()
            elif task.subtask_type != "chain" or task.kwargs["tasks"]:
                yield task

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group[R]:
        """Let the members begin one after the other: set their ``countdown`` to start, start + step, … seconds; return itself.

        Args:
            stop: the last that is set, and set for all that follow.
        """
        counts = _counts(start, stop, step)
        for task in self.tasks:
            task.set(countdown=next(counts))
        return self

    def link(self, callback: Signature[Any]) -> Signature[Any]:
        """Have a call made once the first member succeeds, without its result; for the results of all, use a chord."""
        return self.tasks[0].link(callback.clone().set(immutable=True))

    def link_error(self, errback: Any) -> tuple[Signature[Any], ...]:
        """Have a call made for each member that fails; return these calls."""
        errback = as_signature(errback)
        return tuple(task.link_error(errback.clone()) for task in self.tasks)

    def _frozen(self, where: Belonging) -> Any:
        own = self._placed(where)
        self.kwargs["tasks"] = flat = list(self.flat())
        inside = replace(where, task_id=None, group_id=own)
        results = [task._frozen(replace(inside, group_index=index)) for index, task in enumerate(flat)]
        return group_result(self.app, own, results)

    def __call__(self, *args: Any, **options: Any) -> GroupResult[R]:
        """Send the group, with these arguments in front of those of each member."""
        return self.apply_async(args, **options)

    def delay(self, *args: Any, **kwargs: Any) -> GroupResult[R]:  # type: ignore[override]
        """Send the members, with these arguments in front of those of each; return their results."""
        return self.apply_async(args, kwargs)

    def apply(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult[R]:
        """Run the members here and now, one after the other; return their results; see `umbel.Signature.apply`."""
        return cast("GroupResult[R]", super().apply(args, kwargs, **options))

    def apply_async(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult[R]:
        """Send the members; return their results.

        Args:
            args: put in front of those of each member.
            kwargs, options: laid over those of each member.

        Raises:
            TypeError: ``link`` or ``link_error`` is given.
        """
        for option, instead in (("link", "use a chord: group(...) | task"), ("link_error", "link it to the members")):
            if options.get(option) is not None:
                raise TypeError(f"a group cannot be sent with {option}=: {instead}")
        return cast("GroupResult[R]", super().apply_async(args, kwargs, **options))

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def __repr__(self) -> str:
        return f"group({list(self.tasks)!r})" if self.tasks else "group(<empty>)"


KINDS["group"] = group


def members(tasks: tuple[Any, ...], app: Umbel | None) -> Any:
    """Return what a group was given as its members: a list of signatures, or one that is filled as it is read."""
    given: Any = tasks
    if len(tasks) == 1:
        given = tasks[0]
        if isinstance(given, group):
            given = given.tasks
        elif isinstance(given, (Signature, Mapping)):
            return [as_signature(given, app, clone=True)]
    if isinstance(given, Lazy):
        return given
    if isinstance(given, (list, tuple, set, frozenset)):
        return [as_signature(task, app) for task in given]
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise TypeError(f"a group is made of signatures, or an iterable of them, not of {given!r}")
    return Lazy(given, lambda task: as_signature(task, app))


def _counts(start: float, stop: float | None, step: float) -> Iterator[float]:
    now = start
    while not stop or now <= stop:
        yield now
        now += step
    yield from repeat(now - step)
