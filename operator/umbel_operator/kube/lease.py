"""Read and write the Lease by which operators agree who works: each write counts only on the version that was read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from umbel_operator.kube.errors import GoneError, Json
from umbel_operator.kube.resources import LEASES
from umbel_operator.kube.transport import Request, Transport

#: Seconds for one request: several fit into the time for which a leader may go without renewing.
REQUEST_SECONDS = 4.0
#: Seconds that a Lease which was given back counts for; 0 is refused.
RELEASED_SECONDS = 1


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it was read."""

    #: Empty where nobody holds it.
    holder: str
    #: Seconds after which a holder that does not renew has lost it.
    duration: float
    transitions: int
    version: str


class LeaseClient:
    """Speak of one Lease.

    transport: one of its own, so that a renewal never waits behind other requests.
    identity: unlike that of any other process, ever.
    """

    def __init__(self, transport: Transport, namespace: str, name: str, identity: str) -> None:
        self._transport = transport
        self._namespace = namespace
        self._name = name
        self.identity = identity

    async def read(self) -> LeaseRecord | None:
        """Read the Lease, or None where there is none."""
        try:
            return _record(await self._send("GET", None))
        except GoneError:
            return None

    async def hold(self, known: LeaseRecord | None, duration: float) -> LeaseRecord:
        """Write the Lease as held by us: create, take over, or renew it.

        known: the Lease as it was last read; None creates it.
        Raises ConflictError where it is not as known any more, GoneError where it has gone.
        """
        now = _micro_time()
        spec: Json = {"holderIdentity": self.identity, "leaseDurationSeconds": int(duration), "renewTime": now}
        if known is None:
            return _record(await self._send("POST", {**spec, "acquireTime": now, "leaseTransitions": 0}))
        if known.holder != self.identity:
            spec |= {"acquireTime": now, "leaseTransitions": known.transitions + 1}
        return _record(await self._send("PATCH", spec, known.version))

    async def release(self, known: LeaseRecord) -> None:
        """Give the Lease back, so that another need not wait for it to run out."""
        spec = {"holderIdentity": "", "leaseDurationSeconds": RELEASED_SECONDS, "renewTime": _micro_time()}
        await self._send("PATCH", spec, known.version)

    async def _send(self, method: str, spec: Json | None, version: str | None = None) -> Json:
        verb = {"GET": "get", "POST": "create", "PATCH": "patch"}[method]
        meta = {"name": self._name} if version is None else {"resourceVersion": version}
        body: Json = {"metadata": meta, "spec": spec}
        if method == "POST":
            body |= {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
        request = Request(
            method,
            LEASES.path(self._namespace, None if method == "POST" else self._name),
            what=f"{verb} leases {self._namespace}/{self._name}",
            plural=LEASES.plural,
            body=None if method == "GET" else body,
            content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
            seconds=REQUEST_SECONDS,
        )
        return (await self._transport.send(request)).body


def _record(lease: Json) -> LeaseRecord:
    spec: dict[str, Any] = lease.get("spec") or {}
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        duration=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=str(lease["metadata"].get("resourceVersion", "")),
    )


def _micro_time() -> str:
    # For people who look at the Lease. No decision rests on it: the clocks of two machines differ.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
