"""From a result to all that descends from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from umbel.errors import IncompleteStream
from umbel.result.base import Node


def iterdeps(root: Node, intermediate: bool = False) -> Iterator[tuple[Node | None, Node]]:
    """Yield a result and all that descends from it, the nearer first, each as (parent, result).

    Args:
        root: where to begin.
        intermediate: pass over what has not ended, in place of raising.

    Raises:
        IncompleteStream: a task has not ended, so that its children are not known.
    """
    to_see: deque[tuple[Node | None, Node]] = deque([(None, root)])
    while to_see:
        parent, node = to_see.popleft()
        yield parent, node
        if node.ready():
            to_see.extend((node, child) for child in node.children or ())
        elif not intermediate:
            raise IncompleteStream(
                f"{node} has not ended, so that what descends from it is not known yet: wait for it, or pass intermediate=True"
            )
