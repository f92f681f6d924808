"""Signatures as plain dicts, for tests of the engine that runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Shape = dict[str, Any]


def task(
    name: str, *args: Any, immutable: bool = False, options: Mapping[str, Any] | None = None, **kwargs: Any
) -> Shape:
    """A call of a task of `tests.workflow_app`."""
    return {
        "task": f"tests.workflow_app.{name}",
        "args": list(args),
        "kwargs": kwargs,
        "options": dict(options or {}),
        "subtask_type": None,
        "immutable": immutable,
    }


def _composed(kind: str, kwargs: Shape, options: Mapping[str, Any]) -> Shape:
    return {
        "task": f"umbel.{kind}",
        "args": [],
        "kwargs": kwargs,
        "options": dict(options),
        "subtask_type": kind,
        "immutable": False,
    }


def chain(*tasks: Shape, **options: Any) -> Shape:
    return _composed("chain", {"tasks": list(tasks)}, options)


def group(tasks: Iterable[Shape], **options: Any) -> Shape:
    return _composed("group", {"tasks": tasks}, options)


def chord(header: Iterable[Shape], body: Shape | None, **options: Any) -> Shape:
    return _composed("chord", {"header": list(header), "body": body, "kwargs": {}}, options)
