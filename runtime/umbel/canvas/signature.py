"""A signature: a call of a task as a value, which can be kept, sent along, completed, and put together with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast

from umbel import canvas
from umbel.canvas.fields import Fields, read_fields
from umbel.canvas.freezing import Belonging
from umbel.canvas.plain import as_list, copied, plain
from umbel.context import current_app
from umbel.ids import new_task_id
from umbel.result import AsyncResult, EagerResult

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task

R = TypeVar("R", covariant=True)
S = TypeVar("S")
Self = TypeVar("Self", bound="Signature[Any]")

#: Options that a call cannot change once the signature has them: they say what it belongs to.
_FIXED: Final = frozenset({"group_id", "stamped_headers"})
#: Option of a signature that was added to a chord and waits to be sent, see `umbel.Task.add_to_chord`.
PLACE: Final = "chord_place"
#: ``subtask_type`` -> class. Each class enters itself.
KINDS: Final[dict[str, type[Signature[Any]]]] = {}


class Signature(Fields, Generic[R]):
    """A call of a task as a value: a dict of plain data, so that it travels as JSON.

    Args:
        task: the task, its name, or a signature as a dict.
        args, kwargs: the arguments, or as many of them as are known yet.
        options: of the call, as for ``apply_async``; also given as keywords.
        type: the task itself, where ``task`` is its name.
        subtask_type: which kind of workflow this is; None for a call of one task.
        immutable: take no more arguments: neither a predecessor's result nor those of a call.
        app: that it is sent with; the task's, or the current one, unless given.
    """

    #: Under which ``subtask_type`` a class restores its signatures.
    kind: ClassVar[str | None] = None

    __slots__ = ("_app", "_type")

    def __init__(
        self,
        task: str | Task[..., R] | Mapping[str, Any] | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Task[..., R] | None = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Umbel | None = None,
        **more: Any,
    ) -> None:
        self._app = app
        self._type = type
        if isinstance(task, Mapping):
            super().__init__(read_fields(task))
            return
        if not isinstance(task, str):
            name = getattr(task, "name", None)
            if not isinstance(name, str):
                raise TypeError(f"a signature is made of a task, its name, or a signature as a dict, not of {task!r}")
            self._type, task = cast("Task[..., R]", task), name
        super().__init__(
            task=task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    # -- what it is sent with

    @property
    def app(self) -> Umbel:
        """The app that it is sent with."""
        if self._app is not None:
            return self._app
        return current_app() if self._type is None else self._type.app

    @property
    def type(self) -> Task[..., R]:
        """The task.

        Raises:
            NotRegistered: it is not known here; such a signature can be sent all the same.
        """
        if self._type is not None:
            return self._type
        return cast("Task[..., R]", canvas.builtin_task(self.app, self.task) or self.app.tasks[self.task])

    def bind(self: Self, app: Umbel | None) -> Self:
        """Have it sent with this app; return itself."""
        if app is not None:
            self._app = app
        return self

    # -- copies

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Umbel | None = None) -> Signature[Any]:
        """Return the signature that a dict describes, of the class that its ``subtask_type`` says.

        Raises:
            TypeError: it describes none.
        """
        kind = KINDS.get(fields.get("subtask_type") or "")
        return Signature(fields, app=app) if kind is None else kind._restore(read_fields(fields), app)

    @classmethod
    def _restore(cls, fields: dict[str, Any], app: Umbel | None) -> Signature[Any]:
        """Return a signature of this class of fields that belong to it alone."""
        self: Any = dict.__new__(cls)
        self._app, self._type = app, None
        cls._adopt(fields["kwargs"], app)
        dict.update(self, fields)
        return cast("Signature[Any]", self)

    @classmethod
    def _adopt(cls, kwargs: dict[str, Any], app: Umbel | None) -> None:
        """Make signatures of the parts among the keyword arguments that were read; overridden by workflows."""

    def merged(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return arguments and options of a call: its own come first, and win.

        Args:
            args: put in front of those that are there.
            kwargs, options: laid over those that are there; options that are None, and those that stamp or place the
                signature, leave what is there.
            force: also where the signature is immutable.
        """
        new = dict(self.options)
        if options:
            fixed = _FIXED.union(new.get("stamped_headers") or ())
            new.update((k, v) for k, v in options.items() if k not in fixed or k not in new)
        if self.immutable and not force:
            return self.args, dict(self.kwargs), new
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, new

    def clone(
        self: Self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **opts: Any
    ) -> Self:
        """Return a copy that shares nothing with this one but the arguments themselves, completed by what is given."""
        args, kwargs, options = self.merged(args, kwargs, opts)
        copy = dict.__new__(self.__class__)
        dict.update(copy, self, args=args, kwargs=self._copied_kwargs(kwargs), options=copied(options))
        copy._app, copy._type = self._app, self._type
        return copy

    def _copied_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of a copy; overridden by workflows, whose parts are among them."""
        return kwargs

    partial = clone

    def replace(
        self: Self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a copy with other arguments or options in the place of those that are there."""
        copy = self.clone()
        if args is not None:
            copy.args = tuple(args)
        if kwargs is not None:
            copy.kwargs = dict(kwargs)
        if options is not None:
            copy.options = dict(options)
        return copy

    # -- changes

    def set(self: Self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options of the call; return itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Set whether it takes more arguments."""
        self.immutable = immutable

    def link(self, callback: Signature[S]) -> Signature[S]:
        """Have a call made with the result, put in front of its arguments, once this one succeeds; return that call."""
        return self._linked("link", callback)

    def link_error(self, errback: Signature[S]) -> Any:
        """Have a call made once this one fails; return that call."""
        return self._linked("link_error", errback)

    def on_error(self: Self, errback: Signature[Any]) -> Self:
        """As `link_error`, but return this signature."""
        self.link_error(errback)
        return self

    def _linked(self, option: str, call: Signature[S]) -> Signature[S]:
        there = as_list(self.options.get(option))
        if call not in there:
            there.append(call)
        self.options[option] = there
        return call

    def flatten_links(self) -> list[Signature[Any]]:
        """Return this signature, its callbacks, theirs, and so on."""
        links = (as_signature(link, self._app) for link in as_list(self.options.get("link")))
        return [self, *(deeper for link in links for deeper in link.flatten_links())]

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **stamps: Any) -> Any:
        """Mark the call, its callbacks and all that it consists of with headers; see `umbel.canvas.StampingVisitor`.

        Args:
            visitor: says which stamps each part gets.
            append_stamps: keep a stamp's earlier values beside the new one.
            stamps: for every part.
        """
        return canvas.stamp(self, visitor, append_stamps, stamps)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give the call its id before it is sent, and return its result. An id that it has stays.

        Args:
            _id: the id; a random one unless given.
            group_id, group_index: the group that it belongs to, and its place there.
            chord: the body that follows, for Celery's users; what is sent does not depend on it.
            root_id, parent_id: the tasks that it descends from.

        Returns: of a chain the result of the last part, whose ``parent`` is that of the one before it; of a group a
            `umbel.result.GroupResult`; of a chord that of the body, whose ``parent`` is that of the header.

        Raises:
            ValueError: an empty chain.
        """
        return self._frozen(Belonging(_id, group_id, chord, root_id, parent_id, group_index))

    def _frozen(self, where: Belonging) -> Any:
        """See `freeze`; overridden by workflows."""
        return AsyncResult(self._placed(where), task_name=self.task, app=self.app)

    def _placed(self, where: Belonging) -> str:
        """Note where it belongs, and return its id."""
        options = self.options
        task_id = cast(str, options.setdefault("task_id", where.task_id or new_task_id()))
        belongs = {"root_id": where.root_id, "parent_id": where.parent_id, "group_index": where.group_index}
        options.update((name, value) for name, value in belongs.items() if value is not None)
        if where.group_id is not None:
            options.setdefault("group_id", where.group_id)
        return task_id

    # -- calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now, as if it were no task."""
        args, kwargs, _ = self.merged(args, kwargs)
        return self.type(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send the call, with these arguments in front of its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Send the call.

        Args:
            args: put in front of those that are there.
            kwargs, options: laid over those that are there.

        Raises: as `umbel.Task.apply_async`.
        """
        return cast("AsyncResult[R]", canvas.send(self, args, kwargs, _given(options)))

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """As `delay`, from an event loop, which goes on with other work meanwhile."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """As `apply_async`, from an event loop, which goes on with other work meanwhile."""
        import asyncio

        return await asyncio.to_thread(self.apply_async, args, kwargs, **options)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R]:
        """Run the call here and now, as a worker would: callbacks and errbacks too.

        Args:
            args, kwargs, options: as for `apply_async`; ``throw`` raises what a task raises.
        """
        return cast("EagerResult[R]", canvas.apply(self, args, kwargs, _given(options)))

    @property
    def AsyncResult(self) -> Callable[[str], AsyncResult[R]]:  # noqa: N802 - Celery's name
        """What makes a result of an id."""
        return lambda task_id: AsyncResult(task_id, task_name=self.task, app=self.app)

    # -- operators

    def __or__(self, other: Signature[S]) -> Signature[S]:  # type: ignore[override]
        return cast("Signature[S]", canvas.pipe(self, other))

    __ior__ = __or__  # type: ignore[assignment]

    def __ror__(self, other: Signature[Any]) -> Signature[R]:  # type: ignore[override]
        return cast("Signature[R]", canvas.pipe(as_signature(other), self))

    def __invert__(self) -> R:
        return self.apply_async().get()

    # -- as data

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return the call as text, with these arguments in front of its own: ``tasks.add(1, 2)``."""
        args, kwargs, _ = self.merged(args, kwargs, force=True)
        shown = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        return f"{self.task}({', '.join(shown)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def plain(self) -> dict[str, Any]:
        """Return it as a dict of plain dicts and lists."""
        return {name: plain(value) for name, value in self.items()}

    __json__ = plain

    def __copy__(self: Self) -> Self:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature[Any]:
        fields = {name: deepcopy(value, memo) for name, value in self.items()}
        return Signature.from_dict(fields, self._app)

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature.from_dict, (self.plain(),)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def as_signature(value: Any, app: Umbel | None = None, clone: bool = False) -> Any:
    """Return a dict as a signature, a signature (or None) as it is.

    Args:
        app: that it is to be sent with.
        clone: return a copy of what is a signature already.

    Raises:
        TypeError: neither.
    """
    if isinstance(value, Signature):
        return (value.clone() if clone else value).bind(app)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return Signature.from_dict(value, app)
    raise TypeError(f"{value!r} is no signature: write task.s(...), or give a signature as a dict")


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature[Any]:
    """Return a signature: a copy of one, the one that a dict describes, or a new one of a task or its name.

    Args:
        varies: a signature, a dict, a task, or a task's name.
        args, kwargs: as for `Signature`, for a new one.
    """
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies, kwargs.get("app"))
    return Signature(varies, *args, **kwargs)
