"""Ports for the servers that tests start: below those that the system gives to clients, and each claimed once.

A port that is merely free when one looks is not enough: pytest-randomly seeds ``random`` alike in every process of a
run, so that they would look at the same ports in the same order, and a server that a test stops must find its port
again. So a port is claimed by a lock on a file, which lasts until the process ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: Distance of a Redis Cluster node's port for its neighbours from its own.
BUS = 10000

#: Where ports are taken from; with BUS added, they stay below 32768, from where on clients get theirs.
FIRST, LAST = 11000, 22000

#: Ports that the documents name, and their tests use.
NAMED = frozenset({16379, 18080})

#: Not the generator that tests seed.
_random = random.SystemRandom()

#: The locks that this process holds, by port; open files of a forked child hold them too, as long as it lives.
_held: dict[int, int] = {}


def free_port(*, bus: bool = False) -> int:
    """Return a port of the loopback interface that nobody listens on, and that no other test will be given.

    Args:
        bus: whether the port BUS above it is wanted too.
    """
    for _ in range(10_000):
        port = _random.randrange(FIRST, LAST)
        wanted = (port, port + BUS) if bus else (port,)
        if NAMED.isdisjoint(wanted) and _claim(wanted):
            return port
    raise RuntimeError(f"no port between {FIRST} and {LAST} is free; is another run of the tests going on?")


def _claim(ports: Sequence[int]) -> bool:
    """Take all of them or none."""
    taken: dict[int, int] = {}
    for port in ports:
        lock = None if port in _held else _lock(port)
        if lock is None or not _nobody_listens(port):
            for one in (*taken.values(), *(() if lock is None else (lock,))):
                os.close(one)
            return False
        taken[port] = lock
    _held.update(taken)
    return True


def _lock(port: int) -> int | None:
    """Return an open file that holds the lock of a port; nothing where another process holds it."""
    directory = Path(tempfile.gettempdir()) / f"umbel-test-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    file = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
