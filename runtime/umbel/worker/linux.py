"""The few calls of the system that Python does not offer: subreaper, death signal, unused memory."""

from __future__ import annotations

import ctypes
import os
import signal
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Let orphaned descendants become children of this process, so that it learns of their end."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with_parent(parent: int, patience: float = 5.0) -> None:
    """Have this process killed when its parent dies; end it at once if that is dead already.

    Args:
        parent: pid that has to be the parent; waits for the kernel to have moved this process there.
        patience: seconds to wait for that.
    """
    until = time.monotonic() + patience
    while os.getppid() != parent:
        if time.monotonic() > until or not os.path.exists(f"/proc/{parent}"):
            os._exit(1)
        time.sleep(0.0005)
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died between the two calls: then the signal never comes.
    if os.getppid() != parent:
        os._exit(1)


def thread_count() -> int:
    """Return how many threads this process has, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))


def give_back_memory() -> None:
    """Give to the system what the allocator of C keeps for later, as after many imports; only where that is glibc's."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
