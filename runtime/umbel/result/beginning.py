"""Begin to wait in an event loop: asking the backend may block, so a thread does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def begin(start: Callable[[], T], undo: Callable[[T], object]) -> T:
    """Call a function in a thread, and return what it returns.

    Args:
        start: begins something. It goes on where the caller is cancelled meanwhile.
        undo: ends it again, then; it may be called twice.
    """
    import asyncio

    made: list[T] = []
    abandoned: list[bool] = []

    def work() -> T:
        made.append(start())
        if abandoned:  # looked at after `made` is there, and the other way round below: one of the two sees both
            undo(made[0])
        return made[0]

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        abandoned.append(True)
        if made:
            undo(made[0])
        raise
