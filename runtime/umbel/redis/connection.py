"""One connection to Redis: redis-py connects (TLS, authentication), hiredis talks.

redis-py's own command path costs several times what the command costs the server; here a command is packed by hiredis, sent
as it is, and the answer is read by a hiredis reader. Only this module touches redis-py.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import hiredis
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import AuthenticationError, RedisError

from umbel.errors import ImproperlyConfigured, OperationalError

Argument = bytes | str | int | float


#: Whether a blocking socket is bounded by SO_RCVTIMEO and SO_SNDTIMEO. Not with TLS, whose layer would try again for ever.
_KERNEL_TIMEOUTS = sys.platform == "linux"
_PEEK = socket.MSG_PEEK | (socket.MSG_DONTWAIT if _KERNEL_TIMEOUTS else 0)


class ConnectionBroken(Exception):
    """The connection broke or did not answer in time.

    Args:
        sent: whether the command may have reached the server.
    """

    def __init__(self, cause: object, *, sent: bool) -> None:
        super().__init__(str(cause))
        self.sent = sent


class ServerRefused(OperationalError):
    """Redis answered with an error. ``code`` is its first word (OOM, READONLY, NOSCRIPT, ...)."""

    def __init__(self, text: str) -> None:
        self.code = text.split(" ", 1)[0]
        hint = HINTS.get(self.code)
        super().__init__(f"Redis refused a command: {text}" + (f". {hint}" if hint else ""))


#: All that may be wrong with a connection which worked before: it broke, or the credentials are being replaced.
AWAY = (ConnectionBroken, OperationalError, ImproperlyConfigured)
#: What to do about an error of the server, by its first word.
HINTS = {
    "OOM": "It is at its maxmemory: give it more, or let workers drain the queues",
    "READONLY": "This server is a replica: point the broker URL at the primary, or wait for the failover to end",
    "NOAUTH": "Set the password in the broker URL or in UMBEL_BROKER_PASSWORD_FILE",
    "WRONGPASS": "Check the user name and the password",
    "NOPERM": "Give this user the commands and the keys of the key prefix (ACL SETUSER)",
    "MISCONF": "It cannot write to its disk: look at its log",
}
#: Errors that pass by themselves, as a failover ends or a snapshot is loaded.
PASSING = frozenset({"READONLY", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "NOREPLICAS"})


@dataclass(frozen=True)
class Endpoint:
    """Where Redis is and how to get in. Credentials in files are read at each connect, so that a rotation needs no restart."""

    url: str
    username_file: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    @classmethod
    def from_environment(cls, url: str) -> Endpoint:
        """Take the files from ``UMBEL_BROKER_*``."""

        def get(name: str) -> str | None:
            return os.environ.get(f"UMBEL_BROKER_{name}") or None

        return cls(
            url,
            get("USERNAME_FILE"),
            get("PASSWORD_FILE"),
            get("CA_FILE"),
            get("CERT_FILE"),
            get("KEY_FILE"),
            get("TLS_SERVER_NAME"),
        )

    @property
    def address(self) -> str:
        """The host, port and database, without credentials, for messages."""
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return parts.path
        return (
            f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path if parts.path not in ('', '/') else '/0'}"
        )

    def _arguments(self) -> tuple[type[AbstractConnection], dict[str, Any]]:
        try:
            kwargs: dict[str, Any] = dict(parse_url(self.url))  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ImproperlyConfigured(
                f"the broker URL {self.address!r} cannot be read ({error}): "
                "use redis://HOST:PORT/DATABASE, rediss:// for TLS"
            ) from error
        kind = kwargs.pop("connection_class", Connection)
        for unused in ("max_connections",):
            kwargs.pop(unused, None)
        if self.username_file:
            kwargs["username"] = _read(self.username_file)
        if self.password_file:
            kwargs["password"] = _read(self.password_file)
        if issubclass(kind, SSLConnection):
            kwargs.update(
                {
                    name: value
                    for name, value in {
                        "ssl_ca_certs": self.ca_file,
                        "ssl_certfile": self.cert_file,
                        "ssl_keyfile": self.key_file,
                    }.items()
                    if value
                }
            )
        return kind, kwargs

    def connect(self, timeout: float) -> RedisConnection:
        """Open a connection.

        Args:
            timeout: seconds for connecting and for the handshake.

        Raises:
            ConnectionBroken: nobody answers; nothing was sent.
            OperationalError: the server refuses the credentials.
        """
        kind, kwargs = self._arguments()
        if not issubclass(kind, UnixDomainSocketConnection):
            kwargs["socket_connect_timeout"] = timeout
            kwargs["socket_keepalive"] = True
        kwargs.update(socket_timeout=timeout, protocol=2, health_check_interval=0)
        link = kind(**kwargs)
        try:
            link.connect()  # type: ignore[no-untyped-call]
        except AuthenticationError as error:
            raise OperationalError(
                f"Redis at {self.address} refuses the credentials ({error}): check the user name and the password"
            ) from error
        except (RedisError, OSError) as error:
            raise ConnectionBroken(error, sent=False) from error
        return RedisConnection(link, self)


def pack(*command: Argument) -> bytes:
    """Return one command in Redis's protocol."""
    return cast(bytes, hiredis.pack_command(command))  # type: ignore[arg-type]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"the credentials file {path} cannot be read: {error.strerror}") from error


class RedisConnection:
    """An open connection. Not thread-safe, not to be used across a fork."""

    def __init__(self, link: AbstractConnection, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.pid = os.getpid()
        self.idle_since = time.monotonic()
        self._link = link
        self._socket = cast(socket.socket, link._sock)
        self._reader = hiredis.Reader()
        self._by_kernel = _KERNEL_TIMEOUTS and not isinstance(link, SSLConnection)
        self._send_timeout = self._receive_timeout = -1.0
        if self._by_kernel:
            self._socket.settimeout(None)

    def fileno(self) -> int:
        """The socket, to select on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._link.disconnect()  # type: ignore[no-untyped-call]

    def stale(self) -> bool:
        """Return whether the peer has closed an idle connection (or sent what nobody asked for)."""
        if isinstance(self._link, SSLConnection):
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
            self._socket.sendall(packed)
        except BlockingIOError:
            raise ConnectionBroken(f"nothing could be sent for {timeout:g} s", sent=True) from None
        except OSError as error:
            raise ConnectionBroken(error, sent=True) from error

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
