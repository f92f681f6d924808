"""Open a plain connection: who we are, which database. redis-py, which is for TLS only, is not imported for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from umbel.redis.place import Place

#: How the errors begin that the server answers to credentials which it does not take, and the part that is left out.
REFUSALS = ("WRONGPASS ", "NOAUTH ", "ERR AUTH ", "ERR invalid password", "ERR wrong number of arguments for 'auth'")


class NotConnected(Exception):
    """Nobody answers there, or it does not take us in now."""


class CredentialsRefused(Exception):
    """The server does not take these credentials, or wants some."""


def connect(place: Place, timeout: float) -> socket.socket:
    """Open a connection: authenticated, named, its database selected.

    Args:
        place: where.
        timeout: seconds, for all addresses of the host, and again for the handshake.

    Raises:
        CredentialsRefused, NotConnected: by the server.
        OSError: the connection broke during the handshake.
    """
    try:
        plain = _open(place, timeout)
    except TimeoutError as error:
        raise NotConnected("Timeout connecting to server") from error
    except OSError as error:
        raise NotConnected(f"Error {error.errno} connecting to {place}. {error.strerror}.") from error
    try:
        _introduce(plain, place, timeout)
    except TimeoutError as error:
        plain.close()
        raise NotConnected(f"Timeout reading from {place}") from error
    except BaseException:
        plain.close()
        raise
    return plain


def _open(place: Place, timeout: float) -> socket.socket:
    if place.path is None:
        plain = _first_of(socket.getaddrinfo(_name(place.host), place.port, type=socket.SOCK_STREAM), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return plain
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plain.settimeout(timeout)
        plain.connect(place.path)
    except BaseException:
        plain.close()
        raise
    return plain


def _name(host: str) -> str | bytes:
    """Return a host as it is best asked for: text would bring the tables of international names into each process."""
    return host.encode() if host.isascii() else host


def _first_of(addresses: Sequence[tuple[Any, ...]], timeout: float) -> socket.socket:
    """Connect to the first address that takes us; those that are silent share the time."""
    until = time.monotonic() + timeout
    for tried, (family, kind, protocol, _, address) in enumerate(addresses, 1):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(max(0.01, (until - time.monotonic()) / (len(addresses) - tried + 1)))
            plain.connect(address)
        except BaseException as error:
            plain.close()
            if tried == len(addresses) or not isinstance(error, OSError):
                raise
        else:
            return plain
    raise OSError("the host has no address")


def _introduce(plain: socket.socket, place: Place, timeout: float) -> None:
    """Say who we are: one round trip. A database is always selected, so that a server that wants a password says so here."""
    commands: list[tuple[Any, ...]] = []
    if place.username or place.password:
        user = (place.username,) if place.username else ()
        commands.append((b"AUTH", *user, place.password or ""))
    if place.client_name:
        commands.append((b"CLIENT", b"SETNAME", place.client_name))
    if place.database is not None:
        commands.append((b"SELECT", place.database))
    if not commands:
        return
    plain.sendall(b"".join([hiredis.pack_command(command) for command in commands]))
    reader = hiredis.Reader()
    until = time.monotonic() + timeout
    for command in commands:
        error = _answer(plain, reader, until)
        if error is None or (command == (b"SELECT", 0) and error.startswith("NOPERM ")):
            continue
        if error.startswith(REFUSALS):
            raise CredentialsRefused(error.removeprefix("WRONGPASS ").removeprefix("NOAUTH ").removeprefix("ERR "))
        raise NotConnected(error.removeprefix("ERR "))


def _answer(plain: socket.socket, reader: hiredis.Reader, until: float) -> str | None:
    """Return the error that the server answers with, None if it is none."""
    try:
        while (answer := reader.gets()) is False:
            plain.settimeout(max(0.001, until - time.monotonic()))
            data = plain.recv(4096)
            if not data:
                raise NotConnected("the server closed the connection")
            reader.feed(data)
    except hiredis.HiredisError as error:
        raise NotConnected(f"what answers there is no Redis: {error}") from error
    return str(answer) if isinstance(answer, hiredis.ReplyError) else None
