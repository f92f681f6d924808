"""What a ``redis://`` or ``unix://`` URL says."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

#: Parameters of a URL that are read here, and those that redis-py knows and that have no meaning here.
READ = frozenset({"db", "username", "password", "client_name"})
IGNORED = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "max_connections",
        "protocol",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "timeout",
    }
)


@dataclass(frozen=True)
class Place:
    """Where a server is, and who we are there."""

    host: str
    port: int
    path: str | None
    database: int | None  #: None for a Sentinel, which has none
    username: str | None
    password: str | None
    client_name: str | None

    @classmethod
    def read(cls, url: str) -> Place:
        """Take a URL apart.

        Raises:
            ValueError: a port or a database that is no number, or a parameter that is not known.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "unix"):
            raise ValueError(f"{parts.scheme!r} is no scheme that is known")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(query.keys() - READ - IGNORED)
        if unknown:
            raise ValueError(f"there is no parameter {unknown[0]!r}, only {', '.join(sorted(READ))}")
        is_unix = parts.scheme == "unix"
        database = query.get("db") or ("0" if is_unix else unquote(parts.path).strip("/") or "0")
        if not database.isdecimal():
            raise ValueError(f"{database!r} is no database number")
        return cls(
            unquote(parts.hostname or "localhost"),
            parts.port or 6379,
            unquote(parts.path) if is_unix else None,
            int(database),
            unquote(parts.username) if parts.username else query.get("username"),
            unquote(parts.password) if parts.password else query.get("password"),
            query.get("client_name"),
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"
