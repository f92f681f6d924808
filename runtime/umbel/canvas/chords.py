"""Chords: a group, and a signature that gets the results of all its members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from umbel.canvas.freezing import Belonging, first_of, set_parent
from umbel.canvas.gathered import Gathered
from umbel.canvas.groups import group, members
from umbel.canvas.signature import KINDS, Signature, as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel

R = TypeVar("R", covariant=True)


class chord(Gathered[R]):  # noqa: N801 - Celery's name
    """A header, whose signatures are sent together, and a body, which gets the list of their results, in their order.

    Args:
        header: signatures: an iterable, a group, or a single one. A generator is read only when the chord is sent.
        body: the signature; it can also be given when the chord is called.
        options: of the chord.
    """

    kind: ClassVar[str | None] = "chord"
    held: ClassVar[str] = "header"

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
    def _adopt(cls, kwargs: dict[str, Any], app: Umbel | None) -> None:
        kwargs["header"] = header_of(kwargs.get("header") or (), app)
        kwargs["body"] = as_signature(kwargs.get("body"), app)
        kwargs.setdefault("kwargs", {})

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
        body = kwargs["body"]
        return {**super()._copied_kwargs(kwargs), "body": None if body is None else body.clone()}

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

    def _frozen(self, where: Belonging) -> Any:
        header: group[Any] = group(self.tasks, app=self._app)
        above = header._frozen(Belonging(self.options.get("task_id"), None, self.body, where.root_id, where.parent_id))
        self.kwargs["header"], self.options["task_id"] = header.kwargs["tasks"], header.id
        if self.body is None:
            return above
        result = self.body._frozen(replace(where, parent_id=None))
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
