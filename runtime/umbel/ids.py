"""Identifiers: of tasks, of clients, and of owners (one incarnation of one child process)."""

from __future__ import annotations

import itertools
import os
import socket
from functools import lru_cache


def new_task_id() -> str:
    """Return a fresh random task id in the form of a UUID version 4."""
    raw = bytearray(os.urandom(16))
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_published = itertools.count()


def new_nonce() -> bytes:
    """Return eight bytes that make each publish of a message unlike every other.

    They begin with a count: what one process publishes within a millisecond keeps its order wherever messages are sorted.
    """
    return (next(_published) & 0xFFFFFF).to_bytes(3) + os.urandom(5)


def new_client_id() -> str:
    """Return an id for one client process; a forked process must take another."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"


@lru_cache(maxsize=1)
def machine_id() -> str:
    """Return what this process runs on: the pod's uid, else host name and boot id."""
    pod = os.environ.get("UMBEL_POD_UID")
    if pod:
        return pod
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            boot = file.read().strip().replace("-", "")[:12]
    except OSError:
        boot = "noboot"
    return f"{socket.gethostname()}.{boot}"


def new_owner_id() -> str:
    """Return the id of a new owner: machine, process, nonce. Never used twice."""
    return f"{machine_id()}:{os.getpid()}:{os.urandom(6).hex()}"
