"""What each child is doing right now, slot by slot, in memory that it shares with the supervisor.

A child that hangs or is stopped cannot be asked. So each writes, for each task that it runs, its tag, when it started and when
it must end, where the supervisor reads it: for hard limits, for the blame after a death, for who is idle.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

#: per slot: tag (0 = idle), queue index, started and hard deadline (seconds of CLOCK_MONOTONIC, 0 = none), tasks done
_SLOT = struct.Struct("<QQddQ")
_SIZE = 64
_TAG = struct.Struct("<Q")
_BODY = struct.Struct("<Qdd")
_DONE = struct.Struct("<Q")
#: One page in front: byte 0 = 1 while no task may be started, byte 1 = 1 once none may be any more. A thread each writes them.
_HEAD = 64
#: Added to the tag of a task whose owner is gone: it is nobody's message any more, though it runs.
VOID = 1 << 63
#: Added to the queue's index for a task that is to be ended before others may begin it again.
EXCLUSIVE = 1 << 63
#: Slots of a worker at most: its children's, and those of the children that take their places.
ROOM = 16_384


@dataclass(frozen=True)
class Activity:
    """What happens in one slot: ``tag`` 0 means nothing; ``exclusive`` as the task's option."""

    tag: int
    queue: int
    started: float
    deadline: float
    done: int
    exclusive: bool = False


class Slots:
    """The shared memory: as many slots for each child as it runs tasks at once.

    Args:
        count: of all slots. Memory is taken only for those that are used.
        fd: of the memory, when it exists already (in a process that was executed anew).
    """

    def __init__(self, count: int = ROOM, fd: int | None = None) -> None:
        self.count = count
        self.lanes = 1  #: slots of each child
        size = _HEAD + _SIZE * count
        if fd is None:
            fd = os.memfd_create("umbel-slots", 0)
            os.ftruncate(fd, size)
        self.fd = fd
        self._memory = mmap.mmap(fd, size)

    def start(self, index: int, tag: int, queue: int, now: float, deadline: float, exclusive: bool = False) -> None:
        """Note that a task starts. The tag is written last: a reader that sees it sees the rest."""
        at = _HEAD + _SIZE * index
        _BODY.pack_into(self._memory, at + 8, queue | EXCLUSIVE if exclusive else queue, now, deadline)
        _TAG.pack_into(self._memory, at, tag)

    def end(self, index: int, done: int) -> None:
        """Note that the task has ended."""
        at = _HEAD + _SIZE * index
        _TAG.pack_into(self._memory, at, 0)
        _DONE.pack_into(self._memory, at + 32, done)

    def read(self, index: int) -> Activity:
        """Return what happens in a slot."""
        return self._at(_HEAD + _SIZE * index)

    def _at(self, offset: int) -> Activity:
        tag, queue, started, deadline, done = _SLOT.unpack_from(self._memory, offset)
        return Activity(tag, queue & ~EXCLUSIVE, started, deadline, done, bool(queue & EXCLUSIVE))

    def running(self, child: int) -> list[Activity]:
        """Return what a child does, in its slots that do something."""
        at = _HEAD + _SIZE * self.lanes * child
        found = []
        for offset in range(at, at + _SIZE * self.lanes, _SIZE):
            if _TAG.unpack_from(self._memory, offset)[0]:
                activity = self._at(offset)
                if activity.tag:
                    found.append(activity)
        return found

    def done(self, child: int) -> int:
        """Return how many tasks a child has ended."""
        at = _HEAD + _SIZE * self.lanes * child + 32
        return sum(_DONE.unpack_from(self._memory, at + _SIZE * lane)[0] for lane in range(self.lanes))

    def disown(self, index: int) -> None:
        """Note that what runs in a slot belongs to no owner any more."""
        at = _HEAD + _SIZE * index
        (tag,) = _TAG.unpack_from(self._memory, at)
        if tag:
            _TAG.pack_into(self._memory, at, tag | VOID)

    def clear(self, child: int) -> None:
        """Forget a child that is gone."""
        at, size = _HEAD + _SIZE * self.lanes * child, _SIZE * self.lanes
        self._memory[at : at + size] = bytes(size)

    def are_closed(self) -> bool:
        """Return whether no task may be started, for either reason."""
        return self._memory[0] == 1 or self._memory[1] == 1

    def is_held(self) -> bool:
        """Return whether the supervisor has lost the broker, so that others may bury this worker."""
        return self._memory[0] == 1

    def hold(self, hold: bool) -> None:
        """Forbid, or allow again, to start tasks."""
        self._memory[0] = 1 if hold else 0

    def are_ending(self) -> bool:
        """Return whether the worker was told to end."""
        return self._memory[1] == 1

    def end_all(self) -> None:
        """Forbid to start tasks from now on, since the worker ends."""
        self._memory[1] = 1
