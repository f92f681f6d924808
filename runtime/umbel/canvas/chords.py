"""Chords: a group, and a signature that gets the results of all its members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from umbel.canvas.freezing import first_of, set_parent
from umbel.canvas.groups import group, members
from umbel.canvas.lazy import Lazy
from umbel.canvas.signature import KINDS, Signature, as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel

R = TypeVar("R", covariant=True)


class chord(Signature[R]):  # noqa: N801 - Celery's name
    """A header, whose signatures are sent together, and a body, which gets the list of their results, in their order.

    Args:
        header: signatures: an iterable, a group, or a single one. A generator is read only when the chord is sent.
        body: the signature; it can also be given when the chord is called.
        options: of the chord.
    """

    kind: ClassVar[str | None] = "chord"

    @overload
    def __init__(
        self,
        header: Any,
        body: Signature[R],
        task: str = ...,
        args: Any = ...,
        kwargs: Any = ...,
        app: Any = ...,
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(self: chord[Any], header: Any, body: Any = ..., **options: Any) -> None: ...
    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "umbel.chord",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Umbel | None = None,
        **options: Any,
    ) -> None:
        parts = {**(kwargs or {"kwargs": {}}), "header": header_of(header, app), "body": as_signature(body, app)}
        super().__init__(task, args, parts, options, subtask_type="chord", app=app)

    @classmethod
    def _restore(cls, fields: dict[str, Any], app: Umbel | None) -> Signature[Any]:
        self = cast("chord[Any]", dict.__new__(cls))
        self._app, self._type = app, None
        parts = fields["kwargs"]
        parts["header"] = header_of(parts.get("header") or (), app)
        parts["body"] = as_signature(parts.get("body"), app)
        parts.setdefault("kwargs", {})
        dict.update(self, fields)
        return self

    @property
    def tasks(self) -> Sequence[Signature[Any]]:
        """The header: a list, or what is read out of a generator as far as somebody looks."""
        return cast("Sequence[Signature[Any]]", self.kwargs["header"])

    @tasks.setter
    def tasks(self, header: Any) -> None:
        self.kwargs["header"] = header_of(header, self._app)

    @property
    def body(self) -> Any:
        """The signature that gets the results; None as long as it has none."""
        return self.kwargs["body"]

    @body.setter
    def body(self, body: Any) -> None:
        self.kwargs["body"] = as_signature(body, self._app)

    @property
    def app(self) -> Umbel:
        """The app of the header's first signature, or of the body, unless the chord was given one."""
        if self._app is not None:
            return self._app
        first = self.tasks[0] if self.tasks else self.body
        return super().app if first is None else first.app

    def _copied_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        header, body = kwargs["header"], kwargs["body"]
        copies: Any
        if isinstance(header, Lazy):
            copies = Lazy(header, lambda task: task.clone())
        else:
            copies = [task.clone() for task in header]
        return {**kwargs, "header": copies, "body": None if body is None else body.clone()}

    def items(self) -> Any:
        """Return the fields; what a generator holds is read, so that ``json.dumps`` sees a list."""
        header = self.kwargs["header"]
        if isinstance(header, Lazy):
            self.kwargs["header"] = list(header)
        return super().items()

    def link(self, callback: Signature[Any]) -> Signature[Any]:
        """Have a call made once the body succeeds; return that call."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Have a call made once the body fails, as it does when a member of the header fails; return that call.

        With ``task_allow_error_cb_on_chord_header`` each member of the header gets it too.
        """
        errback = as_signature(errback)
        everywhere = self.app.conf.task_allow_error_cb_on_chord_header
        for task in self.tasks:
            if everywhere:
                task.link_error(errback.clone().set(immutable=True))
            elif isinstance(task, chord):
                task.link_error(errback)
        self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Set for each signature of the header whether it takes more arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give header and body their ids; return the body's result, whose ``parent`` is that of the header."""
        header: group[Any] = group(self.tasks, app=self._app)
        above = header.freeze(self.options.get("task_id"), None, self.body, root_id, parent_id)
        self.kwargs["header"], self.options["task_id"] = header.kwargs["tasks"], header.id
        if self.body is None:
            return above
        result = self.body.freeze(_id, group_id, chord, root_id, None, group_index)
        set_parent(first_of(result), above)
        return result

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Send the chord, with this body in the place of its own."""
        return self.apply_async((), None if body is None else {"body": body}, **options)

    def __length_hint__(self) -> int:
        """Return how many results the body gets."""
        return sum(finals(task) for task in self.tasks)

    def __repr__(self) -> str:
        header = ", ".join(map(repr, self.tasks))
        return f"<chord without body: [{header}]>" if self.body is None else f"chord([{header}], {self.body!r})"


KINDS["chord"] = chord


def header_of(header: Any, app: Umbel | None) -> Any:
    """Return what a chord was given as its header: a list of signatures, or one that is filled as it is read."""
    if isinstance(header, Mapping):
        header = as_signature(header, app)
        header = header.kwargs["tasks"] if isinstance(header, group) else [header]
    return members((header,), app)


def finals(task: Signature[Any]) -> int:
    """Return how many results a part of a header gives to the body: those of its last tasks."""
    if isinstance(task, group):
        return sum(map(finals, task.tasks))
    if isinstance(task, chord):
        return 0 if task.body is None else finals(task.body)
    if task.subtask_type == "chain":
        return next((size for size in map(finals, reversed(task.kwargs["tasks"])) if size), 0)
    return 1
