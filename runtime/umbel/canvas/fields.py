"""What a signature holds, field by field, and how it is read from a dict that came from somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from umbel import canvas
from umbel.canvas.plain import as_list

#: What is called otherwise in Celery: signatures that it wrote are understood.
_CELERYS: Final = {
    f"celery.{name}": f"umbel.{name}" for name in ("accumulate", "map", "starmap", "chunks", "group", "chain", "chord")
}


class Fields(dict[str, Any]):
    """The fields of a signature as attributes."""

    __slots__ = ()

    @property
    def task(self) -> str:
        """The name of the task."""
        return cast(str, self["task"])

    @task.setter
    def task(self, name: str) -> None:
        self["task"] = name

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return cast("tuple[Any, ...]", self["args"])

    @args.setter
    def args(self, args: Iterable[Any]) -> None:
        self["args"] = tuple(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return cast("dict[str, Any]", self["kwargs"])

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self["kwargs"] = dict(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the call."""
        return cast("dict[str, Any]", self["options"])

    @options.setter
    def options(self, options: Mapping[str, Any]) -> None:
        self["options"] = dict(options)

    @property
    def subtask_type(self) -> str | None:
        """Which kind of workflow this is; None for a call of one task."""
        return cast("str | None", self["subtask_type"])

    @subtask_type.setter
    def subtask_type(self, kind: str | None) -> None:
        self["subtask_type"] = kind

    @property
    def immutable(self) -> bool:
        """Whether it takes no more arguments."""
        return cast(bool, self["immutable"])

    @immutable.setter
    def immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    @property
    def id(self) -> str | None:
        """The task's id, once it is known: see `freeze`."""
        return cast("str | None", self.options.get("task_id"))

    @id.setter
    def id(self, task_id: str) -> None:
        self.options["task_id"] = task_id

    @property
    def parent_id(self) -> str | None:
        """The id of the task that it is sent by, if known."""
        return cast("str | None", self.options.get("parent_id"))

    @parent_id.setter
    def parent_id(self, task_id: str) -> None:
        self.options["parent_id"] = task_id

    @property
    def root_id(self) -> str | None:
        """The id of the task that began it all, if known."""
        return cast("str | None", self.options.get("root_id"))

    @root_id.setter
    def root_id(self, task_id: str) -> None:
        self.options["root_id"] = task_id

    @property
    def name(self) -> str:
        """The name of the task, under the name that tasks have it."""
        return self.task


def read_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a signature that was read from somewhere, each of the type that it has to have.

    Raises:
        TypeError: this is no signature.
    """
    name, args, kwargs, options = (given.get(key) for key in ("task", "args", "kwargs", "options"))
    ok = isinstance(name, str) and all(isinstance(value, (Mapping, type(None))) for value in (kwargs, options))
    if not ok or not isinstance(args, (list, tuple, type(None))):
        raise TypeError(
            f"{given!r} is no signature: a signature is a dict with task (text), args (list), kwargs and options (dicts)"
        )
    kind = given.get("subtask_type")
    options = dict(options or {})
    for link in ("link", "link_error"):
        if options.get(link):
            options[link] = [canvas.maybe_signature(call) for call in as_list(options[link])]
    fields = {
        "task": _CELERYS.get(cast(str, name), name),
        "args": tuple(args or ()),
        "kwargs": dict(kwargs or {}),
        "options": options,
        "subtask_type": kind,
        "immutable": bool(given.get("immutable")),
    }
    if given.get("chord_size") is not None:
        fields["chord_size"] = given["chord_size"]
    return fields
