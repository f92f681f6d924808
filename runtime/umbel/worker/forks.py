"""What a task forks is no child of the worker, though it has its memory: it must not report, nor be deaf to signals."""

from __future__ import annotations

import os
import signal

#: Whether this process was forked by a task.
forked = False

_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def watch() -> None:
    """Have each process that is forked from here on know what it is."""
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_mark)


def _block() -> None:
    """A signal that comes before the new process has its own handlers waits for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _DEAF_TO)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEAF_TO)


def _mark() -> None:
    global forked
    forked = True
    for number in (*_DEAF_TO, signal.SIGALRM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _unblock()
