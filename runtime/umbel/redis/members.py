"""What the URL of several servers says: ``redis+sentinel://H1:P,H2:P/MASTER/DATABASE`` and ``redis+cluster://H1:P,H2:P``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, quote, unquote

from umbel.redis.place import IGNORED

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379
#: What each kind of URL may say behind a question mark.
PARAMETERS = {
    "sentinel": frozenset({"client_name", "password", "sentinel_password", "sentinel_username", "username"}),
    "cluster": frozenset({"client_name", "password", "username"}),
}

Address = tuple[str, int]


def kind_of(url: str) -> str:
    """Return ``sentinel`` or ``cluster`` for a URL that names several servers, ``single`` for any other."""
    _, plus, kind = url.partition("://")[0].partition("+")
    return kind if plus and kind in PARAMETERS else "single"


def split(url: str) -> tuple[str, str, str, str]:
    """Return scheme, user and hosts, path and parameters; the standard library refuses several addresses in brackets."""
    scheme, _, rest = url.partition("://")
    rest, _, said = rest.partition("?")
    hosts, _, path = rest.partition("/")
    return scheme, hosts, path.strip("/"), said


@dataclass(frozen=True)
class Members:
    """The servers that are asked where the data are, and who we are there."""

    kind: str
    secure: bool
    addresses: tuple[Address, ...]
    master: str  #: its name, for Sentinel
    database: int
    username: str | None
    password: str | None
    client_name: str | None
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    def url(self, address: Address, username: str | None = None, password: str | None = None) -> str:
        """Return the URL of one server, with these credentials."""
        host, port = address
        user = f"{quote(username or '', safe='')}:{quote(password, safe='')}@" if password else ""
        name = f"?client_name={quote(self.client_name, safe='')}" if self.client_name else ""
        bare = f"[{host}]" if ":" in host else host
        return f"{'rediss' if self.secure else 'redis'}://{user}{bare}:{port}/{self.database}{name}"


@lru_cache(maxsize=64)
def read(url: str) -> Members:
    """Take the URL of several servers apart.

    Raises:
        ValueError: it says something that cannot be meant.
    """
    kind = kind_of(url)
    scheme, hosts, path, said = split(url)
    query = {name: values[0] for name, values in parse_qs(said).items()}
    unknown = sorted(query.keys() - PARAMETERS[kind] - IGNORED)
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r}, only {', '.join(sorted(PARAMETERS[kind]))}")
    user, _, hosts = hosts.rpartition("@")
    name, _, password = user.partition(":")
    default = SENTINEL_PORT if kind == "sentinel" else CLUSTER_PORT
    master, database = _path(kind, path)
    return Members(
        kind,
        scheme.startswith("rediss"),
        tuple(_address(host, default) for host in hosts.split(",") if host),
        master,
        database,
        unquote(name) or query.get("username"),
        unquote(password) or query.get("password"),
        query.get("client_name"),
        query.get("sentinel_username"),
        query.get("sentinel_password"),
    )


def _path(kind: str, path: str) -> tuple[str, int]:
    """Return the master's name and the database."""
    if kind == "cluster":
        if path not in ("", "0"):
            raise ValueError(f"a cluster has only database 0, not {path!r}")
        return "", 0
    master, _, database = path.partition("/")
    master = unquote(master)
    if not master:
        raise ValueError("the name of the master is missing")
    if not (database or "0").isdecimal():
        raise ValueError(f"{database!r} is no database number")
    return master, int(database or "0")


def _address(text: str, default: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    if port and not port.isdecimal():
        raise ValueError(f"{port!r} is no port")
    return host.strip("[]"), int(port or default)
