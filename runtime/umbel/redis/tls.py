"""Connections with TLS: redis-py opens them. Only this module imports it, and only once such a connection is asked for."""

from __future__ import annotations

import socket
from typing import Any, cast

from redis.connection import SSLConnection, parse_url
from redis.exceptions import AuthenticationError, RedisError

from umbel.redis.handshake import CredentialsRefused, NotConnected


class _NamedConnection(SSLConnection):
    """A connection whose server shows a certificate for another name than the one it is reached by."""

    server_name: str | None = None

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> Any:
        reached_by, self.host = self.host, self.server_name or self.host
        try:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        finally:
            self.host = reached_by


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
    server_name: str | None = None,
) -> TlsLink:
    """Open a connection.

    Args:
        url: ``rediss://``.
        timeout: seconds for connecting and for the handshake.
        username, password: in place of those in the URL.
        ca_file, cert_file, key_file: PEM files: whom to trust, who we are.
        server_name: that the server's certificate has to bear; the host of the URL if None.

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
    opened = _NamedConnection(**arguments)
    opened.server_name = server_name
    try:
        opened.connect()  # type: ignore[no-untyped-call]
    except AuthenticationError as error:
        raise CredentialsRefused(str(error)) from error
    except RedisError as error:
        raise NotConnected(str(error)) from error
    return TlsLink(opened)
