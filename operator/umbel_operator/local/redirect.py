"""Turn what the files declare into what runs here: every Broker's connection leads to the local Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from umbel_operator.api.names import API_VERSION, DEFAULT_BROKER
from umbel_operator.local.documents import Document
from umbel_operator.local.files import Declared, Name


class BadURL(ValueError):
    """A URL of a Redis that cannot be used; the text says what to write."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the Redis is; `url` may hold a password."""

    url: str
    #: For people, and for producers on this machine.
    shown: str
    host: str
    port: int
    database: int = 0
    tls: bool = False

    @classmethod
    def local(cls, port: int) -> Address:
        """Return the address of a server that was started here."""
        url = f"redis://127.0.0.1:{port}/0"
        return cls(url, url, "127.0.0.1", port)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL.

        Raises `BadURL`.
        """
        remedy = "write redis://host:6379/0, or rediss:// for TLS"
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise BadURL(f"--redis-url {_without_password(url)!r} is no address of a Redis: {remedy}")
        database = parts.path.strip("/") or "0"
        try:
            port = 6379 if parts.port is None else parts.port
        except ValueError:
            port = -1
        if port < 1 or not database.isdecimal() or int(database) > 255:
            raise BadURL(f"--redis-url {_without_password(url)!r} has no valid port and database: {remedy}")
        return cls(url, _without_password(url), parts.hostname, port, int(database), parts.scheme == "rediss")

    def connection(self) -> dict[str, Any]:
        """Return `spec.connection` of a Broker that leads here; credentials stay out of it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        connection: dict[str, Any] = {"addresses": [f"{host}:{self.port}"], "database": self.database}
        return {**connection, "tls": {}} if self.tls else connection


def wanted_objects(declared: Declared, address: Address) -> Iterator[dict[str, Any]]:
    """Return what should be in memory: what is declared, led to the Redis, and the Brokers that the files leave out."""
    for document in declared.data.values():
        parts = {part: document.body.get(part) or {} for part in ("data", "stringData", "binaryData")}
        yield {
            **_object(document.kind, document.namespace, document.name, {}, document.body["metadata"], "v1"),
            **parts,
        }
    resources = declared.resources
    for document in resources.values():
        spec = dict(document.body.get("spec") or {})
        if document.kind == "Broker":
            spec["connection"] = address.connection()
        yield _object(document.kind, document.namespace, document.name, spec, document.body["metadata"])
    for namespace in missing_brokers(resources.values()):
        yield _object("Broker", namespace, DEFAULT_BROKER, {"connection": address.connection()}, {})


def missing_brokers(documents: Iterable[Document]) -> list[str]:
    """Return the namespaces in which something wants the Broker `default` and no file declares it."""
    wanted, there = set(), set()
    for document in documents:
        if document.kind == "Broker":
            if document.name == DEFAULT_BROKER:
                there.add(document.namespace)
        elif document.kind in ("TaskQueue", "WorkerPool"):
            reference = (document.body.get("spec") or {}).get("brokerRef") or {}
            if reference.get("name", DEFAULT_BROKER) == DEFAULT_BROKER:
                wanted.add(document.namespace)
    return sorted(wanted - there)


def redirected(resources: Mapping[Name, Document]) -> list[str]:
    """Say which Brokers of the files are led elsewhere."""
    return [
        f"{document.place(('spec', 'connection'))}: {document.title}: spec.connection is not used here"
        for document in resources.values()
        if document.kind == "Broker"
    ]


def _object(
    kind: str, namespace: str, name: str, spec: dict[str, Any], given: Mapping[str, Any], api_version: str = API_VERSION
) -> dict[str, Any]:
    # Labels and annotations are always there: what an edit takes away must vanish.
    metadata = {part: dict(given.get(part) or {}) for part in ("labels", "annotations")}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)([^/@]*?):[^/]*@", r"\1:***@", url)
