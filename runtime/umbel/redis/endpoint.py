"""Where Redis is and how to get in: `umbel.redis.handshake` opens connections, `umbel.redis.tls` those with TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.redis import handshake
from umbel.redis.connection import ConnectionBroken, RedisConnection
from umbel.redis.place import Place


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
        try:
            port: int | str = parts.port or 6379
        except ValueError:
            port = "?"
        return f"{parts.hostname or 'localhost'}:{port}{parts.path if parts.path not in ('', '/') else '/0'}"

    def connect(self, timeout: float) -> RedisConnection:
        """Open a connection.

        Args:
            timeout: seconds for connecting and for the handshake.

        Raises:
            ConnectionBroken: nobody answers; nothing was sent.
            OperationalError: the server refuses the credentials.
        """
        username = _read(self.username_file) if self.username_file else None
        password = _read(self.password_file) if self.password_file else None
        try:
            if urlsplit(self.url).scheme == "rediss":
                from umbel.redis import tls

                files = (self.ca_file, self.cert_file, self.key_file)
                link = tls.connect(self.url, timeout, username, password, *files, self.server_name)
                return RedisConnection(link.socket, link)
            place = Place.read(self.url)
            place = replace(place, username=username or place.username, password=password or place.password)
            return RedisConnection(handshake.connect(place, timeout))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"the broker URL {self.address!r} cannot be read ({error}): "
                "use redis://HOST:PORT/DATABASE, rediss:// for TLS"
            ) from error
        except handshake.CredentialsRefused as error:
            raise OperationalError(
                f"Redis at {self.address} refuses the credentials ({error}): check the user name and the password"
            ) from error
        except (handshake.NotConnected, OSError) as error:
            raise ConnectionBroken(error, sent=False) from error


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"the credentials file {path} cannot be read: {error.strerror}") from error
