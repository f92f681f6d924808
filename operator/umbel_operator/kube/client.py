"""The operator's verbs: create, apply, dry run, delete, patch, list."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from umbel_operator.api.names import FIELD_MANAGER
from umbel_operator.kube.errors import GoneError, Json
from umbel_operator.kube.resources import Resource, resource_of
from umbel_operator.kube.transport import Answer, Request, Transport

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"

#: Objects in one page of a list.
PAGE = 500


class Api:
    """Speak to one cluster as field manager `umbel-operator`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """Read one object, or None where there is none."""
        try:
            return (await self._send("GET", resource, namespace, name)).body
        except GoneError:
            return None

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        take: Callable[[Json], Json] = lambda obj: obj,
    ) -> list[Json]:
        """Read all objects of a kind, in pages.

        namespace: None for all namespaces. selector: label selector. take: what to keep of each object; thousands of
        them need not lie in memory as they came.
        """
        return [take(item) async for item in self._pages(resource, namespace, selector)]

    async def create(self, obj: Json) -> Json:
        """Create an object; raise AlreadyExistsError where one of that name is there.

        Unknown fields are refused, as an apply refuses them, instead of being dropped without a word.
        """
        resource, namespace, name = _target(obj)
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        answer = await self._send("POST", resource, namespace, None, named=name, query=query, body=obj)
        return answer.body

    async def apply(self, obj: Json, *, manager: str = FIELD_MANAGER) -> Json:
        """Apply an object server-side, taking fields that others hold.

        It is all or nothing: a manifest that the API server refuses leaves the stored object as it was.
        manager: whose fields these become.
        """
        resource, namespace, name = _target(obj)
        query = {"fieldManager": manager, "force": "true"}
        return (await self._send("PATCH", resource, namespace, name, query=query, body=obj, content_type=_APPLY)).body

    async def own_created_fields(self, resource: Resource, live: Json) -> Json:
        """Turn what a POST left in managedFields into an apply's entry, so that a later apply can remove fields.

        A create is recorded as an update, which server-side apply treats as another owner: fields that the
        operator stops to apply would stay for ever.
        Returns the live object, unchanged where there was nothing to do.
        Raises ConflictError where somebody has written it meanwhile.
        """
        if not was_only_created(live):
            return live
        meta = live["metadata"]
        index = next(i for i, entry in enumerate(meta["managedFields"]) if _is_created(entry))
        patch = [
            # Not a test: a stale version then is a conflict instead of an invalid patch.
            {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "replace", "path": f"/metadata/managedFields/{index}/operation", "value": "Apply"},
        ]
        answer = await self._send(
            "PATCH", resource, meta.get("namespace"), meta["name"], body=patch, content_type=_JSON
        )
        return answer.body

    async def delete(self, resource: Resource, namespace: str | None, name: str, uid: str | None = None) -> bool:
        """Delete an object in the background; tell whether it was there.

        uid: delete only this very object; another of the same name raises ConflictError.
        """
        body: Json = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._send("DELETE", resource, namespace, name, body=body)
        except GoneError:
            return False
        return True

    async def merge_patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """Merge a patch into an object or, through its subresource, into its status or scale."""
        answer = await self._send(
            "PATCH",
            resource,
            namespace,
            name,
            subresource=subresource,
            query={"fieldManager": FIELD_MANAGER},
            body=patch,
            content_type=_MERGE,
        )
        return answer.body

    async def patch_status(self, resource: Resource, namespace: str | None, name: str, status: Json) -> Json:
        """Merge changed keys into an object's status; None removes a key."""
        return await self.merge_patch(resource, namespace, name, {"status": status}, subresource="status")

    async def set_finalizers(self, resource: Resource, live: Json, finalizers: list[str]) -> Json:
        """Replace an object's finalizers, only if nobody has written the object meanwhile."""
        meta = live["metadata"]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]}}
        return await self.merge_patch(resource, meta.get("namespace"), meta["name"], patch)

    async def _pages(self, resource: Resource, namespace: str | None, selector: str) -> AsyncIterator[Json]:
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            body = (await self._send("GET", resource, namespace, None, query=query)).body
            for item in body.get("items") or ():
                # Items of a list carry neither; whoever handles them needs both.
                yield {**item, "apiVersion": resource.api_version, "kind": resource.kind}
            token = (body.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = str(token)

    async def _send(
        self,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        *,
        named: str | None = None,
        subresource: str | None = None,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Answer:
        verb = "list" if method == "GET" and name is None else method.lower()
        place = "/".join(part for part in (namespace, name or named) if part)
        suffix = f"/{subresource}" if subresource else ""
        request = Request(
            method,
            resource.path(namespace, name, subresource),
            what=f"{verb} {resource.plural}{suffix} {place}".rstrip(),
            plural=resource.plural + suffix,
            verb=verb,
            query=query or {},
            body=body,
            content_type=content_type,
        )
        return await self.transport.send(request)


def was_only_created(live: Mapping[str, Any]) -> bool:
    """Tell whether the operator has created this object but never applied it."""
    entries = live["metadata"].get("managedFields") or ()
    return any(_is_created(entry) for entry in entries) and not any(_is_applied(entry) for entry in entries)


def _target(obj: Json) -> tuple[Resource, str | None, str]:
    meta = obj["metadata"]
    return resource_of(obj), meta.get("namespace"), str(meta["name"])


def _is_created(entry: Json) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update" and not entry.get("subresource")


def _is_applied(entry: Json) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
