"""Where Redis is and how to get in: `umbel.redis.handshake` opens connections, `umbel.redis.tls` those with TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.redis import handshake, members, sentinel
from umbel.redis.cluster import ClusterConnection
from umbel.redis.connection import ConnectionBroken, RedisConnection
from umbel.redis.members import Address, Members
from umbel.redis.place import Place
from umbel.redis.slots import SlotMap, slot_of

#: Seconds that one node of a cluster may take to answer a connection, of those that there are in all.
NODE_TIMEOUT = 1.0


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
    sentinel_username_file: str | None = None
    sentinel_password_file: str | None = None
    #: What is known of a cluster: the map, once it is needed.
    slots: list[SlotMap] = field(default_factory=list, compare=False, repr=False)

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
            get("SENTINEL_USERNAME_FILE"),
            get("SENTINEL_PASSWORD_FILE"),
        )

    @property
    def clustered(self) -> bool:
        """Whether keys of different hash tags are on different servers."""
        return members.kind_of(self.url) == "cluster"

    @property
    def redundant(self) -> bool:
        """Whether another server takes over from one that is gone."""
        return members.kind_of(self.url) != "single"

    @property
    def address(self) -> str:
        """The host, port and database, without credentials, for messages."""
        if members.kind_of(self.url) != "single":
            _, hosts, path, _ = members.split(self.url)
            return f"{hosts.rpartition('@')[2]}{'/' if path else ''}{path}"
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
        kind = members.kind_of(self.url)
        if kind == "cluster":
            connection = ClusterConnection(self._slots(), self.connect_node, min(timeout, NODE_TIMEOUT))
            connection.at("")  # so that a cluster which is away says so here, as a single server does
            return connection
        username, password = self._credentials()
        if kind == "single":
            return self._open(self.url, username, password, timeout)
        several = self._members()
        username, password = username or several.username, password or several.password
        if self.sentinel_password_file:
            own = _read(self.sentinel_username_file) if self.sentinel_username_file else None
            several = replace(several, sentinel_username=own, sentinel_password=_read(self.sentinel_password_file))
        return sentinel.connect(several, self._open_member, username, password, timeout)

    def connect_at(self, key: str, timeout: float) -> RedisConnection:
        """Open a connection with one socket, to the server that holds ``key``: to wait there, or to subscribe.

        Raises:
            ConnectionBroken, OperationalError: see `connect`.
        """
        return self.connect_node(self.find(key, timeout), timeout) if self.clustered else self.connect(timeout)

    def find(self, key: str, timeout: float) -> Address:
        """Return the node of a cluster that holds ``key``, by a map that is read for it.

        Raises:
            ConnectionBroken, OperationalError: see `connect`.
        """
        slots = self._slots()
        slots.doubt()  # who asks may have been told that the key has moved
        return slots.find(slot_of(key), self.connect_node, min(timeout, NODE_TIMEOUT))

    def _slots(self) -> SlotMap:
        if not self.slots:
            self.slots.append(SlotMap(self._members().addresses))
        return self.slots[0]

    def connect_node(self, address: Address, timeout: float) -> RedisConnection:
        """Open a connection to one node of a cluster.

        Raises:
            ConnectionBroken, OperationalError: see `connect`.
        """
        several = self._members()
        username, password = self._credentials()
        username, password = username or several.username, password or several.password
        return self._open(several.url(address), username, password, timeout)

    def _credentials(self) -> tuple[str | None, str | None]:
        username = _read(self.username_file) if self.username_file else None
        return username, _read(self.password_file) if self.password_file else None

    def _members(self) -> Members:
        try:
            several = members.read(self.url)
            if not several.addresses:
                raise ValueError("it names no server")
            return several
        except ValueError as error:
            raise ImproperlyConfigured(
                f"the broker URL {self.address!r} cannot be read ({error}): "
                "use redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DATABASE or redis+cluster://HOST:PORT,HOST:PORT, "
                "rediss+... for TLS"
            ) from error

    def _open_member(
        self, address: Address, username: str | None, password: str | None, timeout: float, select: bool
    ) -> RedisConnection:
        return self._open(self._members().url(address), username, password, timeout, select)

    def _open(
        self, url: str, username: str | None, password: str | None, timeout: float, select: bool = True
    ) -> RedisConnection:
        """Open a connection to one server; ``select`` its database, which a Sentinel has not."""
        try:
            if urlsplit(url).scheme == "rediss":
                from umbel.redis import tls

                files = (self.ca_file, self.cert_file, self.key_file)
                link = tls.connect(url, timeout, username, password, *files, self.server_name)
                return RedisConnection(link.socket, link)
            place = Place.read(url)
            place = replace(place, username=username or place.username, password=password or place.password)
            return RedisConnection(handshake.connect(place if select else replace(place, database=None), timeout))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"the broker URL {self.address!r} cannot be read ({error}): "
                "use redis://HOST:PORT/DATABASE, rediss:// for TLS"
            ) from error
        except handshake.CredentialsRefused as error:
            raise OperationalError(
                f"Redis at {Endpoint(url).address} refuses the credentials ({error}): check the user name and the password"
            ) from error
        except (handshake.NotConnected, OSError) as error:
            raise ConnectionBroken(error, sent=False) from error


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"the credentials file {path} cannot be read: {error.strerror}") from error
