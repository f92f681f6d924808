"""Messages between the supervisor, the zygote and the children: one JSON object a packet, over a socket pair."""

from __future__ import annotations

import socket
from typing import Any

import orjson

#: Longest packet. Lists of revoked ids are cut into several.
PACKET = 196_608


class Link:
    """One end of a socket pair that keeps packets apart (SOCK_SEQPACKET)."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    @staticmethod
    def pair() -> tuple[Link, Link]:
        """Return both ends."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (one, other):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PACKET * 4)
        return Link(one), Link(other)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: dict[str, Any], fd: int | None = None) -> bool:
        """Send a message, with a file descriptor if given; False if the other end is gone or does not read."""
        packet = orjson.dumps(message)
        try:
            if fd is None:
                self.socket.send(packet, socket.MSG_DONTWAIT)
            else:
                socket.send_fds(self.socket, [packet], [fd])
        except OSError:
            return False
        return True

    def receive(self) -> tuple[dict[str, Any] | None, int | None]:
        """Return the next message and the descriptor that came with it; (None, None) when the other end is gone."""
        try:
            packet, fds, _, _ = socket.recv_fds(self.socket, PACKET, 1)
        except OSError:
            return None, None
        if not packet:
            return None, None
        return orjson.loads(packet), (fds[0] if fds else None)

    def receive_waiting(self) -> tuple[bool, dict[str, Any] | None]:
        """Return (True, message) if a message is there, (True, None) at the end of the link, (False, None) otherwise."""
        try:
            packet = self.socket.recv(PACKET, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False, None
        except OSError:
            return True, None
        return True, (orjson.loads(packet) if packet else None)

    def close(self) -> None:
        self.socket.close()
