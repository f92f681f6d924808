"""Results out of their short form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel.result.base import ResultBase
from umbel.result.group import GroupResult
from umbel.result.single import AsyncResult

if TYPE_CHECKING:
    from umbel.app import Umbel


def result_from_tuple(form: Any, app: Umbel | None = None) -> AsyncResult[Any] | GroupResult[Any]:
    """Return the result that ``as_tuple()`` describes: ``((id, parent), members)``; an id alone is fine too.

    Args:
        form: as `AsyncResult.as_tuple` and `GroupResult.as_tuple` return it, also after a way through JSON.
        app: whose results they are; the current one unless given.
    """
    if isinstance(form, (AsyncResult, GroupResult)):
        return form
    # From the outside in, then built from the inside out: a chain may be longer than a stack.
    layers: list[tuple[str, Any]] = []
    rest: Any = form
    while rest is not None:
        task_id, rest, members = _read(rest)
        layers.append((task_id, members))
    result: AsyncResult[Any] | GroupResult[Any] | None = None
    for task_id, members in reversed(layers):
        if members is None:
            result = AsyncResult(task_id, app=app, parent=result)
        else:
            result = GroupResult(task_id, [result_from_tuple(one, app) for one in members], parent=result, app=app)
    assert result is not None
    return result


def _read(form: Any) -> tuple[str, Any, Any]:
    """Return id, parent and members of one layer."""
    if isinstance(form, ResultBase):
        form = form.as_tuple()
    if isinstance(form, str):
        return form, None, None
    if not isinstance(form, (list, tuple)) or len(form) != 2:
        raise ValueError(
            f"{form!r} is no form of a result: give what as_tuple() returns, ((id, parent), members), or an id"
        )
    head, members = form
    if isinstance(head, (list, tuple)):
        task_id, parent = head
        return task_id, parent, members
    return head, None, members
