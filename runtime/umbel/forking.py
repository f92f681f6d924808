"""A lock that is free in a forked process, whoever held it in the parent."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

#: Seconds that a fork waits for another thread which holds such a lock.
PATIENCE: Final = 3.0


class ForkLock:
    """A reentrant lock for what is done once in a process, such as opening a connection, and importing what that needs.

    A fork waits for who holds it, since a module that another thread is half-way through importing stays so in the new process.
    Not for ever: that thread may wait for one that waits for the fork.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._forking: int | None = None  # the thread that holds the lock over its fork
        own = weakref.ref(self)
        os.register_at_fork(
            before=lambda: _do(own, ForkLock._before),
            after_in_parent=lambda: _do(own, ForkLock._after),
            after_in_child=lambda: _do(own, ForkLock._in_child),
        )

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _before(self) -> None:
        if self._lock.acquire(timeout=PATIENCE):
            self._forking = threading.get_ident()

    def _after(self) -> None:
        if self._forking == threading.get_ident():
            self._forking = None
            self._lock.release()

    def _in_child(self) -> None:
        if self._forking == threading.get_ident():
            self._after()  # this thread, which may hold it further down in its stack, too
        else:
            self._lock, self._forking = threading.RLock(), None


def _do(own: weakref.ref[ForkLock], work: Callable[[ForkLock], None]) -> None:
    lock = own()
    if lock is not None:
        work(lock)
