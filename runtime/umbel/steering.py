"""Which coroutine runs in which thread. Apart from `umbel.awaiting`: a child that runs no coroutine spares asyncio's imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbel.awaiting import Steered

#: By thread: the coroutine that `umbel.awaiting.run_coroutine` runs there.
here: dict[int, Steered] = {}


def steered_in(thread: int) -> Steered | None:
    """Return the coroutine that runs in a thread, by the thread's ident."""
    return here.get(thread)
