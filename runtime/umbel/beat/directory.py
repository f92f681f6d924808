"""The directory of definitions that the operator mounts: an index and the shards that it names by their hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import orjson

from umbel.beat.definitions import Definitions, LoadError

INDEX_FILE = "index.json"
#: Version of the layout that this beat reads.
LAYOUT = 1

Stamp = tuple[int, int, int]


class _Unusable(Exception):
    """The present state of the directory is not whole, or not for this beat."""


class Directory:
    """Reads the directory when it has changed, and only a state in which every shard matches the index.

    A volume that Kubernetes projects is swapped by one link (``..data``); a directory without it is watched file by file.

    Args:
        path: of the directory; it may come into being later.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.current = Definitions()
        #: Why the newest state of the directory is not used, None when it is.
        self.problem: LoadError | None = None
        self._seen: tuple[Stamp, ...] | None = None
        self._index = b""

    def poll(self) -> Definitions | None:
        """Return the new definitions if they have changed and are whole, else None."""
        stamps = self._stamps()
        if stamps == self._seen and self.problem is None:
            return None
        try:
            loaded = self._load()
        except _Unusable as error:
            self.problem = LoadError("Broker", str(self.path), "", "LoadFailed", str(error))
            return None
        self.problem = None
        self._seen = stamps
        return loaded

    def _load(self) -> Definitions | None:
        try:
            index_bytes = (self.path / INDEX_FILE).read_bytes()
        except FileNotFoundError:
            return None  # the operator has not rendered it yet
        except OSError as error:
            raise _Unusable(f"{INDEX_FILE} cannot be read: {error.strerror}") from error
        if index_bytes == self._index:
            return None
        try:
            index = orjson.loads(index_bytes)
            layout, serial, source = int(index["layout"]), int(index["serial"]), str(index["source"])
            digests = {str(name): str(digest) for name, digest in index["shards"].items()}
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _Unusable(f"{INDEX_FILE} cannot be read: {error!r}") from error
        if layout != LAYOUT:
            raise _Unusable(f"{INDEX_FILE} has layout {layout}, this beat reads layout {LAYOUT}: update its image")
        definitions = Definitions(source, serial)
        for name, digest in sorted(digests.items()):
            if os.path.basename(name) != name:
                raise _Unusable(f"{INDEX_FILE} names the shard {name!r}, which is no file name")
            try:
                definitions.add(orjson.loads(self._shard(name, digest)))
            except orjson.JSONDecodeError as error:
                definitions.errors.append(LoadError("Shard", name, "", "InvalidDefinition", f"not JSON: {error}"))
        self._index = index_bytes
        self.current = definitions
        return definitions

    def _shard(self, name: str, digest: str) -> bytes:
        """Return a shard if it is the one that the index means; else the directory is just being written."""
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise _Unusable(f"{name} is not there yet: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise _Unusable(f"{name} does not match {INDEX_FILE} yet: waiting for the rest of the update")
        return data

    def _stamps(self) -> tuple[Stamp, ...]:
        stamps = []
        link = self.path / "..data"
        names = [link] if link.is_symlink() else sorted(self.path.glob("*.json"))
        for name in names:
            try:
                stat = name.lstat()
            except OSError:
                continue
            stamps.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
        return tuple(stamps)
