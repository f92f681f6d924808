"""A Redis connection with nothing between the socket and hiredis, and the names of the keys."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import hiredis

QUEUE = b"barest:queue"
RESULT_TTL = b"86400"
_BYTES = 1 << 18


def pack(*arguments: bytes | str | int) -> bytes:
    """Return a command as Redis reads it."""
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]  # its stub says: a tuple of one
    return packed


def result_key(task_id: str) -> bytes:
    """Return the key of a task's result."""
    return b"barest:res:" + task_id.encode()


class Connection:
    """Send packed commands and read as many replies as were sent."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "127.0.0.1", address.port or 6379))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def call(self, *arguments: bytes | str | int) -> object:
        """Send one command and return its reply."""
        return self.exchange(pack(*arguments), 1)[0]

    def exchange(self, packed: bytes, replies: int) -> list[object]:
        """Send packed commands and return that many replies."""
        self._socket.sendall(packed)
        got: list[object] = []
        while len(got) < replies:
            reply = self._reader.gets()
            if reply is False:
                data = self._socket.recv(_BYTES)
                if not data:
                    raise ConnectionError("Redis closed the connection")
                self._reader.feed(data)
                continue
            if isinstance(reply, hiredis.ReplyError):
                raise reply
            got.append(reply)
        return got
