"""Connections with TLS: redis-py opens them. Only this module imports it, and only once such a connection is asked for."""

from __future__ import annotations

import socket
from typing import Any, cast

from redis.connection import SSLConnection, parse_url
from redis.exceptions import AuthenticationError, RedisError

from umbel.redis.handshake import CredentialsRefused, NotConnected


class TlsLink:
    """An open connection of redis-py, which owns the socket."""

    def __init__(self, opened: SSLConnection) -> None:
        self._opened = opened
        self.socket = cast(socket.socket, opened._sock)

    def close(self) -> None:
        """Close the socket."""
        self._opened.disconnect()  # type: ignore[no-untyped-call]


def connect(
    url: str,
    timeout: float,
    username: str | None,
    password: str | None,
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
) -> TlsLink:
    """Open a connection.

    Args:
        url: ``rediss://``.
        timeout: seconds for connecting and for the handshake.
        username, password: in place of those in the URL.
        ca_file, cert_file, key_file: PEM files: whom to trust, who we are.

    Raises:
        CredentialsRefused: by the server.
        NotConnected: nobody answers, or the two sides do not agree on TLS.
        ValueError: the URL cannot be read.
    """
    arguments: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    for unused in ("connection_class", "max_connections"):
        arguments.pop(unused, None)
    given = {
        "username": username,
        "password": password,
        "ssl_ca_certs": ca_file,
        "ssl_certfile": cert_file,
        "ssl_keyfile": key_file,
    }
    arguments.update({name: value for name, value in given.items() if value})
    arguments.update(socket_timeout=timeout, socket_connect_timeout=timeout, socket_keepalive=True)
    arguments.update(protocol=2, health_check_interval=0)
    opened = SSLConnection(**arguments)
    try:
        opened.connect()  # type: ignore[no-untyped-call]
    except AuthenticationError as error:
        raise CredentialsRefused(str(error)) from error
    except RedisError as error:
        raise NotConnected(str(error)) from error
    return TlsLink(opened)
