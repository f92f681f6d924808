"""The objects of `umbel up`, kept in memory by the rules that an API server follows."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from umbel_operator.plan.model import Manifest, Ref

Body = dict[str, Any]
#: Namespace of the uids that are made here.
_UIDS = uuid.UUID("2f1d4b1e-7a35-5c0b-9a7e-6d1c36f0a9b4")


class Store:
    """Objects by their address.

    now: the time for creationTimestamp and deletionTimestamp.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._objects: dict[Ref, Body] = {}
        self._incarnations: dict[Ref, int] = {}
        #: Grows with each write that changed something.
        self.version = 0

    def get(self, ref: Ref) -> Manifest | None:
        """Return an object, or None."""
        return self._objects.get(ref)

    def all(self, kind: str, namespace: str | None = None) -> Iterator[Manifest]:
        """Go through the objects of a kind, in one namespace or in all."""
        for ref, body in list(self._objects.items()):
            if ref.kind == kind and namespace in (None, ref.namespace):
                yield body

    def children(self, uid: str) -> dict[Ref, Manifest]:
        """Return what belongs to the object with that uid."""
        return {ref: body for ref, body in self._objects.items() if uid in _owners(body)}

    def apply(self, manifest: Manifest) -> bool:
        """Bring metadata and content of an object to what the manifest says; return whether anything changed."""
        ref = Ref.of(manifest)
        live = self._objects.get(ref)
        if live is None:
            self._create(ref, manifest)
            return True
        wanted = copy.deepcopy(dict(manifest))
        metadata = {**live["metadata"], **wanted.pop("metadata")}
        content = {**{key: live[key] for key in ("status",) if key in live}, **wanted}
        return self._replace(ref, {**content, "metadata": metadata})

    def patch(self, ref: Ref, body: Mapping[str, Any]) -> bool:
        """Merge-patch an object; return whether anything changed, False for one that is gone."""
        live = self._objects.get(ref)
        if live is None:
            return False
        changed = self._replace(ref, _merged(live, body))
        metadata = self._objects[ref]["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._remove(ref)
        return changed

    def set_status(self, ref: Ref, status: Mapping[str, Any]) -> bool:
        """Write the whole status; return whether that changed anything, False for an object that is gone."""
        live = self._objects.get(ref)
        if live is None or live.get("status") == status:
            return False
        live["status"] = copy.deepcopy(dict(status))
        self._bump(live)
        return True

    def delete(self, ref: Ref, uid: str | None = None) -> None:
        """Delete an object and what belongs to it; one with finalizers only learns that it should go."""
        live = self._objects.get(ref)
        if live is None or (uid is not None and live["metadata"]["uid"] != uid):
            return
        if not live["metadata"].get("finalizers"):
            self._remove(ref)
        elif not live["metadata"].get("deletionTimestamp"):
            live["metadata"]["deletionTimestamp"] = self._stamp()
            live["metadata"]["generation"] += 1
            self._bump(live)

    def _create(self, ref: Ref, manifest: Manifest) -> None:
        body = copy.deepcopy(dict(manifest))
        incarnation = self._incarnations[ref] = self._incarnations.get(ref, 0) + 1
        metadata = {
            # The same from run to run: what Redis knows of a Schedule is known by its uid.
            "uid": str(uuid.uuid5(_UIDS, "/".join((ref.kind, ref.namespace, ref.name, str(incarnation))))),
            "creationTimestamp": self._stamp(),
            "generation": 1,
        }
        body["metadata"] = {**metadata, **body["metadata"]}
        body.pop("status", None)
        self._objects[ref] = body
        self._bump(body)

    def _replace(self, ref: Ref, body: Body) -> bool:
        live = self._objects[ref]
        if body == live:
            return False
        if body.get("spec") != live.get("spec"):
            body["metadata"]["generation"] = live["metadata"]["generation"] + 1
        self._objects[ref] = body
        self._bump(body)
        return True

    def _remove(self, ref: Ref) -> None:
        gone = self._objects.pop(ref)
        self.version += 1
        for child in self.children(str(gone["metadata"]["uid"])):
            self.delete(child)

    def _bump(self, body: Body) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owners(body: Manifest) -> set[str]:
    return {str(owner.get("uid")) for owner in body["metadata"].get("ownerReferences") or ()}


def _merged(target: Any, patch: Any) -> Any:
    """Return the target with the patch merged in as RFC 7386 says; null removes."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    out = copy.deepcopy(dict(target)) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _merged(out.get(key), value)
    return out
