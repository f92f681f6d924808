"""Signatures as the engine reads them: dicts of Celery's shape, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from umbel.errors import InvalidTaskError

Shape = Mapping[str, Any]

_NAMES = {"celery.chain": "chain", "celery.group": "group", "celery.chord": "chord", "celery.chunks": "chunks"}


def kind_of(shape: Shape) -> str:
    """Return what a signature is: ``chain``, ``group`` or ``chord``; ``task`` for all that is one message.

    Raises:
        InvalidTaskError: it is no signature.
    """
    given: Any = shape
    if not isinstance(given, Mapping) or not isinstance(given.get("task"), str):
        raise InvalidTaskError(f"a workflow is made of signatures, not of {shape!r}: write task.s(...)")
    kind = shape.get("subtask_type") or _NAMES.get(shape["task"])
    return "group" if kind == "chunks" else kind if kind in ("chain", "group", "chord") else "task"


def parts_of(shape: Shape) -> Iterable[Shape]:
    """Return the parts of a chain or a group, or the header of a chord; a generator is read as it goes."""
    kwargs = shape["kwargs"]
    if shape.get("subtask_type") == "chord" or "header" in kwargs:
        header = kwargs.get("header") or ()
        if isinstance(header, Mapping):
            return parts_of(header) if kind_of(header) == "group" else [header]
        found: Iterable[Shape] = header
        return found
    if "tasks" in kwargs:
        tasks: Iterable[Shape] = kwargs["tasks"] or ()
        return tasks
    return _chunks(shape)


def _chunks(shape: Shape) -> Iterator[Shape]:
    task, it, n = (shape["kwargs"][name] for name in ("task", "it", "n"))
    items = iter(it)
    while part := list(islice(items, n)):
        yield {
            "task": "umbel.starmap",
            "args": (),
            "kwargs": {"task": task, "it": part},
            "options": shape.get("options") or {},
            "subtask_type": "xstarmap",
            "immutable": True,
        }


def body_of(shape: Shape) -> Shape | None:
    """Return the body of a chord."""
    body: Shape | None = shape["kwargs"].get("body")
    return body


def options_of(shape: Shape) -> Mapping[str, Any]:
    """Return the options of a signature."""
    return shape.get("options") or {}


def links_of(options: Mapping[str, Any], name: str) -> list[Shape]:
    """Return the callbacks (``link``) or errbacks (``link_error``) among options: one, several, or none."""
    found = options.get(name)
    if found is None:
        return []
    return [found] if isinstance(found, Mapping) else list(found)


def width_of(shape: Shape) -> int:
    """Return how many results a part gives to what follows: those of its last tasks."""
    kind = kind_of(shape)
    if kind == "task":
        return 1
    if kind == "group":
        return sum(map(width_of, parts_of(shape)))
    if kind == "chord":
        body = body_of(shape)
        return sum(map(width_of, parts_of(shape))) if body is None else width_of(body)
    return next((size for size in map(width_of, reversed(list(parts_of(shape)))) if size), 0)


def steps_of(shape: Shape) -> Sequence[Shape]:
    """Return the steps of a chain: what is empty is left out, a chain in the chain is dissolved."""
    steps: list[Shape] = []
    for part in parts_of(shape):
        if kind_of(part) == "chain" and not options_of(part):
            steps += steps_of(part)
        elif kind_of(part) == "task" or kind_of(part) == "chord" or width_of(part):
            steps.append(part)
    return steps


def first_task(shape: Shape) -> Shape | None:
    """Return the task that a workflow begins with, the first of them; None where only sending it can tell."""
    while (kind := kind_of(shape)) != "task":
        parts = steps_of(shape) if kind == "chain" else parts_of(shape)
        if not isinstance(parts, Sequence):
            return None
        if not parts:
            body = body_of(shape) if kind == "chord" else None
            if body is None:
                return None
            shape = body
        else:
            shape = parts[0]
    return shape
