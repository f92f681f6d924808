"""What ``|`` makes of two signatures, and ``chain()`` of many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from umbel.canvas.chains import chain
from umbel.canvas.chords import chord
from umbel.canvas.groups import group
from umbel.canvas.lazy import Lazy
from umbel.canvas.signature import Signature


def pipe(left: Signature[Any], right: Any) -> Any:
    """Return ``left | right``. Neither is changed, nor part of what is returned: copies are."""
    if not isinstance(right, Signature):
        return NotImplemented
    return _extended(left.clone(), right)


def fold(tasks: Iterable[Signature[Any]]) -> Signature[Any]:
    """Return ``a | b | c`` of many, with each copied once."""
    whole: Signature[Any] = chain.of(())
    for task in tasks:
        whole = _extended(whole, task)
    return whole


def _extended(left: Signature[Any], right: Signature[Any]) -> Signature[Any]:
    """Return ``left | right``; ``left`` belongs to nobody else, and may be changed."""
    if _is_empty(right):
        return left if left.subtask_type is not None else chain.of([left], app=left._app)
    if isinstance(left, group):
        return chord(left, right.clone(), app=left._app)
    right = _unrolled(right)
    if isinstance(left, chain):
        return _chain_extended(left, right)
    if isinstance(left, chord) and not isinstance(right, (group, chain)):
        return _body_extended(left, right)
    parts = right.unchain_tasks() if isinstance(right, chain) else [right.clone()]
    return chain.of([left, *parts], app=left._app)


def _chain_extended(left: chain[Any], right: Signature[Any]) -> Signature[Any]:
    if isinstance(right, chain):
        whole: Signature[Any] = left
        for part in right.unchain_tasks():
            whole = _extended(whole, part)
        return whole
    _hand_down(left)
    last = left.tasks[-1] if left.tasks else None
    if isinstance(right, group):
        if last is None:
            return right.clone()
        if isinstance(last, chord):
            _body_extended(last, right)
            return left
    elif isinstance(last, group):
        left.tasks[-1] = chord(last, right.clone(), app=left._app)
        _join_chords(left)
        return left
    elif isinstance(last, chord) and not isinstance(right, chord):
        _body_extended(last, right)
        return left
    left.tasks.append(right.clone())
    return left


def _body_extended(left: chord[Any], right: Signature[Any]) -> chord[Any]:
    left.body = right.clone() if left.body is None else _extended(left.body, right)
    return left


def _join_chords(left: chain[Any]) -> None:
    """Make a chord that follows another one part of its body."""
    if len(left.tasks) > 1:
        before, last = left.tasks[-2:]
        if isinstance(before, chord) and before.body is not None:
            before.body = _extended(before.body, last)
            left.tasks.pop()


def _hand_down(left: chain[Any]) -> None:
    """Give the chain's callbacks to the part that is its last one now, its errbacks to all, before another one follows."""
    if left.tasks and ("link" in left.options or "link_error" in left.options):
        left.tasks = left.unchain_tasks()
        left.options.pop("link", None)
        left.options.pop("link_error", None)


def _unrolled(task: Signature[Any]) -> Signature[Any]:
    """Return the only member of a group that has but one; anything else as it is."""
    if isinstance(task, group) and not isinstance(task.tasks, Lazy) and len(task.tasks) == 1:
        return task.tasks[0]
    return task


def _is_empty(task: Signature[Any]) -> bool:
    if isinstance(task, (group, chain)):
        return not isinstance(task.tasks, Lazy) and not task.tasks
    return False
