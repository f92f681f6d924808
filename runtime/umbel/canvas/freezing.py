"""The results of what is not sent yet: how those of the parts of a workflow hang together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umbel.app import Umbel


@dataclass(frozen=True, slots=True)
class Belonging:
    """Where a signature belongs that gets its id: see `umbel.canvas.Signature.freeze`."""

    task_id: str | None = None
    group_id: str | None = None
    chord: Any = None
    root_id: str | None = None
    parent_id: str | None = None
    group_index: int | None = None


def group_result(app: Umbel, group_id: Any, results: list[Any]) -> Any:
    """Return the result of a group."""
    from umbel.result import GroupResult

    return GroupResult(group_id, results, app=app)


def set_parent(result: Any, parent: Any) -> None:
    """Let the first result of a part follow that of the part before it."""
    if parent is not None:
        first_of(result).parent = parent


def first_of(result: Any) -> Any:
    """Return the result that a row of them begins with."""
    while result.parent is not None:
        result = result.parent
    return result
