"""Put a finalizer on a resource or take it off."""

from __future__ import annotations

from umbel_operator.api.base import Resource
from umbel_operator.api.names import API_VERSION
from umbel_operator.plan.model import Patch, Ref


def finalizer_patch(resource: Resource, finalizer: str, wanted: bool) -> Patch | None:
    """Return the patch that makes the finalizer present or absent, or None where it already is so.

    The patch writes the whole list and so carries the resourceVersion: a list that someone changed meanwhile is
    refused. To an object that is being deleted nothing is added, since the API server would not allow it.
    """
    present = finalizer in resource.metadata.finalizers
    if wanted == present or (wanted and resource.deleting):
        return None
    others = [name for name in resource.metadata.finalizers if name != finalizer]
    names = [*others, finalizer] if wanted else others
    body = {"metadata": {"finalizers": names, "resourceVersion": resource.metadata.resource_version}}
    return Patch(Ref(API_VERSION, resource.kind_name(), resource.namespace, resource.name), body)
