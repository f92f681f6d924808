"""What each child is doing right now, in memory that it shares with the supervisor.

A child that hangs or is stopped cannot be asked. So each writes the tag of its task, when it started and when it must
end, where the supervisor reads it: for hard limits, for the blame after a death, for who is idle.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

#: per child: tag (0 = idle), queue index, started and hard deadline (seconds of CLOCK_MONOTONIC, 0 = none), tasks done
_SLOT = struct.Struct("<QQddQ")
_SIZE = 64
_TAG = struct.Struct("<Q")
_BODY = struct.Struct("<Qdd")
_DONE = struct.Struct("<Q")
#: One page in front: byte 0 = 1 while no task may be started.
_HEAD = 64


@dataclass(frozen=True)
class Activity:
    """What a child does: ``tag`` 0 means nothing."""

    tag: int
    queue: int
    started: float
    deadline: float
    done: int


class Slots:
    """The shared memory, one slot a child.

    Args:
        count: children.
        fd: of the memory, when it exists already (in a process that was executed anew).
    """

    def __init__(self, count: int, fd: int | None = None) -> None:
        self.count = count
        size = _HEAD + _SIZE * count
        if fd is None:
            fd = os.memfd_create("umbel-slots", 0)
            os.ftruncate(fd, size)
        self.fd = fd
        self._memory = mmap.mmap(fd, size)

    def start(self, index: int, tag: int, queue: int, now: float, deadline: float) -> None:
        """Note that a task starts. The tag is written last: a reader that sees it sees the rest."""
        at = _HEAD + _SIZE * index
        _BODY.pack_into(self._memory, at + 8, queue, now, deadline)
        _TAG.pack_into(self._memory, at, tag)

    def end(self, index: int, done: int) -> None:
        """Note that the task has ended."""
        at = _HEAD + _SIZE * index
        _TAG.pack_into(self._memory, at, 0)
        _DONE.pack_into(self._memory, at + 32, done)

    def read(self, index: int) -> Activity:
        """Return what a child does."""
        return Activity(*_SLOT.unpack_from(self._memory, _HEAD + _SIZE * index))

    def clear(self, index: int) -> None:
        """Forget a child that is gone."""
        at = _HEAD + _SIZE * index
        self._memory[at : at + _SIZE] = bytes(_SIZE)

    def is_held(self) -> bool:
        """Return whether no task may be started: the supervisor has lost the broker, and others may bury this worker."""
        return self._memory[0] == 1

    def hold(self, hold: bool) -> None:
        """Forbid, or allow again, to start tasks."""
        self._memory[0] = 1 if hold else 0
