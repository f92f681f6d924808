"""One connection to Redis, once `umbel.redis.endpoint` has opened it: hiredis talks.

redis-py's own command path costs several times what the command costs the server; here a command is packed by hiredis, sent
as it is, and the answer is read by a hiredis reader.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import hiredis

from umbel.errors import ImproperlyConfigured, OperationalError

Argument = bytes | str | int | float


#: Whether a blocking socket is bounded by SO_RCVTIMEO and SO_SNDTIMEO. Not with TLS, whose layer would try again for ever.
_KERNEL_TIMEOUTS = sys.platform == "linux"
#: Bytes beyond which a command may not fit into the line at once.
LARGE = 65536
_PEEK = socket.MSG_PEEK | (socket.MSG_DONTWAIT if _KERNEL_TIMEOUTS else 0)


class ConnectionBroken(Exception):
    """The connection broke or did not answer in time.

    Args:
        sent: whether the command may have reached the server.
    """

    def __init__(self, cause: object, *, sent: bool) -> None:
        super().__init__(str(cause))
        self.sent = sent


#: How Redis 6 tells what was refused to a script; later ones say it as they do outside of scripts.
_IN_SCRIPT = re.compile(r"ERR Error running script .*?: -([A-Z]+ .*)", re.DOTALL)


class ServerRefused(OperationalError):
    """Redis answered with an error. ``code`` is its first word (OOM, READONLY, NOSCRIPT, ...)."""

    def __init__(self, text: str) -> None:
        within = _IN_SCRIPT.match(text)
        if within is not None:
            text = within[1]
        self.code = text.split(" ", 1)[0]
        hint = HINTS.get(self.code)
        super().__init__(
            f"Redis refused a command: {text.rstrip(' .')}. {hint}" if hint else f"Redis refused a command: {text}"
        )


#: All that may be wrong with a connection which worked before: it broke, or the credentials are being replaced.
AWAY = (ConnectionBroken, OperationalError, ImproperlyConfigured)
#: What to do about an error of the server, by its first word.
HINTS = {
    "OOM": "It is at its maxmemory: give it more, or let workers drain the queues",
    "READONLY": "This server is a replica: point the broker URL at the primary, or wait for the failover to end",
    "NOAUTH": "Set the password in the broker URL or in UMBEL_BROKER_PASSWORD_FILE",
    "WRONGPASS": "Check the user name and the password",
    "NOPERM": "Give this user the keys and the channels of the key prefix, and the commands (ACL SETUSER)",
    "MISCONF": "It cannot write to its disk: look at its log",
}
#: Errors that pass by themselves, as a failover ends or a snapshot is loaded.
PASSING = frozenset(
    {"READONLY", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "NOREPLICAS", "MOVED", "ASK"}
)
#: Those that another server may stand behind by now: connect anew.
MOVED_ON = frozenset({"READONLY", "MASTERDOWN", "LOADING"})


def seconds_left(until: float, whole: float) -> float:
    """Return the seconds left until a moment, all of ``whole`` while hardly any have passed, and some at the least.

    A socket keeps its limit from call to call as long as it is the same one, so what is usual sets none.
    """
    left = until - time.monotonic()
    return whole if left > 0.98 * whole else max(0.01, left)


def pack(*command: Argument) -> bytes:
    """Return one command in Redis's protocol."""
    return cast(bytes, hiredis.pack_command(command))  # type: ignore[arg-type]


class Link(Protocol):
    """What owns the socket of a connection with TLS."""

    socket: socket.socket

    def close(self) -> None:
        """Close the socket."""


class RedisConnection:
    """An open connection. Not thread-safe, not to be used across a fork."""

    #: Whether keys of different hash tags are on different servers.
    clustered = False

    def __init__(self, plain: socket.socket, link: Link | None = None) -> None:
        self._link = link  # owns the socket where there is TLS
        self._socket = plain
        self.pid = os.getpid()
        self.idle_since = time.monotonic()
        self._reader = hiredis.Reader()
        self._by_kernel = _KERNEL_TIMEOUTS and link is None
        self._send_timeout = self._receive_timeout = -1.0
        if self._by_kernel:
            self._socket.settimeout(None)

    def __del__(self) -> None:
        # Whoever drops an app need not have closed it. No shutdown: after a fork the other process still uses the socket.
        if self._link is None:
            with suppress(OSError):
                self._socket.close()

    def fileno(self) -> int:
        """The socket, to select on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket, and wake a thread that reads from it."""
        if self._link is not None:
            self._link.close()
            return
        if self.pid == os.getpid():
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):  # a task may have closed the descriptor
            self._socket.close()

    def stale(self) -> bool:
        """Return whether the peer has closed an idle connection (or sent what nobody asked for)."""
        if self._link is not None:
            return time.monotonic() - self.idle_since > 30
        try:
            if not self._by_kernel:
                self._socket.setblocking(False)
                self._send_timeout = self._receive_timeout = -1.0
            self._socket.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def send(self, packed: bytes, timeout: float) -> None:
        """Send packed commands.

        Raises:
            ConnectionBroken: with ``sent`` True, since some bytes may have left.
        """
        try:
            if timeout != self._send_timeout:
                self._limit(socket.SO_SNDTIMEO, timeout)
            if len(packed) > LARGE and self._by_kernel:
                self._send_in_parts(packed, timeout)
            else:
                self._socket.sendall(packed)
        except BlockingIOError:
            raise ConnectionBroken(f"nothing could be sent for {timeout:g} s", sent=True) from None
        except OSError as error:
            raise ConnectionBroken(error, sent=True) from error

    def _send_in_parts(self, packed: bytes, timeout: float) -> None:
        """Send what the line may take in parts only: the kernel's limit counts anew for each of them."""
        until = time.monotonic() + timeout
        view = memoryview(packed)
        while view:
            self._limit(socket.SO_SNDTIMEO, max(0.01, until - time.monotonic()))
            view = view[self._socket.send(view) :]

    def receive(self, timeout: float) -> Any:
        """Return the next answer; an error of the server is returned as `hiredis.ReplyError`, not raised.

        Raises:
            ConnectionBroken: no answer within ``timeout`` seconds, or the peer is gone.
        """
        reader = self._reader
        answer = reader.gets()
        if answer is not False:
            return answer
        while True:
            try:
                if timeout != self._receive_timeout:
                    self._limit(socket.SO_RCVTIMEO, timeout)
                data = self._socket.recv(65536)
            except BlockingIOError:
                raise ConnectionBroken(f"no answer for {timeout:g} s", sent=True) from None
            except OSError as error:
                raise ConnectionBroken(error, sent=True) from error
            if not data:
                raise ConnectionBroken("the server closed the connection", sent=True)
            reader.feed(data)
            try:
                answer = reader.gets()
            except hiredis.HiredisError as error:
                raise ConnectionBroken(f"what answers there is no Redis: {error}", sent=True) from error
            if answer is not False:
                return answer

    def _limit(self, option: int, timeout: float) -> None:
        """Bound what follows: by the kernel where it can, which spares a poll before each call, else by Python."""
        if not self._by_kernel:
            self._socket.settimeout(timeout)
            self._send_timeout = self._receive_timeout = timeout
            return
        micros = max(1, int(timeout * 1e6))  # 0 would mean for ever
        self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", *divmod(micros, 1_000_000)))
        if option == socket.SO_SNDTIMEO:
            self._send_timeout = timeout
        else:
            self._receive_timeout = timeout

    def ready(self) -> bool:
        """Return whether an answer can be read without waiting for more bytes (they may be buffered here)."""
        return bool(self._reader.has_data())

    def at(self, key: str | bytes) -> RedisConnection:
        """Return the connection to the server that holds a key."""
        return self

    def ask(self, key: str | bytes, packed: bytes, timeout: float) -> Any:
        """Send one packed command to where ``key`` is, and return its answer as `receive` does."""
        self.send(packed, timeout)
        return self.receive(timeout)

    def ask_many(self, asked: Sequence[tuple[str | bytes, bytes]], timeout: float) -> list[Any]:
        """Send several packed commands, each with a key, at once; return their answers as `receive` does."""
        self.send(b"".join([packed for _, packed in asked]), timeout)
        return [self.receive(timeout) for _ in asked]

    def answered(self) -> RedisConnection:
        """Return the connection to the server that the last answer came from."""
        return self

    def load(self, text: bytes, timeout: float) -> None:
        """Load a script where the last answer came from."""
        self.call(b"SCRIPT", b"LOAD", text, timeout=timeout)

    def call(self, *command: Argument, timeout: float = 5.0) -> Any:
        """Send one command and return its answer.

        Raises:
            ServerRefused: the answer is an error.
            ConnectionBroken: see `send` and `receive`.
        """
        self.send(pack(*command), timeout)
        answer = self.receive(timeout)
        if isinstance(answer, hiredis.ReplyError):
            raise ServerRefused(str(answer))
        return answer

    def call_many(self, commands: Sequence[tuple[Argument, ...]], timeout: float = 5.0) -> list[Any]:
        """Send several commands at once and return their answers.

        Raises:
            ServerRefused: the first answer that is an error (all are read first).
            ConnectionBroken: see `send` and `receive`.
        """
        self.send(b"".join([pack(*command) for command in commands]), timeout)
        answers = [self.receive(timeout) for _ in commands]
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                raise ServerRefused(str(answer))
        return answers
