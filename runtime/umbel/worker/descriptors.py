"""Whether a task has left the child its descriptors: one that closes all it finds takes those of the child too."""

from __future__ import annotations

import os
from collections.abc import Sequence


class Descriptors:
    """What stands behind the descriptors of a child: others may come to bear their numbers.

    Args:
        numbers: of the descriptors that the child cannot do without.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = tuple(numbers)
        self._own = self._behind()

    def are_whole(self) -> bool:
        """Return whether all of them are still what they were."""
        return self._behind() == self._own

    def _behind(self) -> list[int | None]:
        return [_inode(number) for number in self._numbers]


def _inode(descriptor: int) -> int | None:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None
