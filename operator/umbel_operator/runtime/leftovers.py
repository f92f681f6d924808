"""Take away what an operator before this one made of kinds that are switched off by now: monitors, NetworkPolicies."""

import logging
from collections.abc import Sequence

from umbel_operator.api.names import GROUP
from umbel_operator.kube.access import may
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, GoneError, Json
from umbel_operator.kube.resources import CHILDREN, MADE_BY_US, OWN, Resource
from umbel_operator.runtime.cache import Cache

logger = logging.getLogger(__name__)

_BY_KIND = {resource.kind: resource for resource in OWN}


class Leftovers:
    """Look once, when the work is taken up: settings change with a restart only.

    cache: knows the resources that are ours; those of another operator keep their children.
    switched_off: names of kinds in the plural. scopes: the namespaces that are served, or (None,) for all.
    """

    def __init__(self, api: Api, cache: Cache, switched_off: Sequence[str], scopes: Sequence[str | None]) -> None:
        self._api = api
        self._cache = cache
        self._kinds = [resource for resource in CHILDREN if resource.plural in switched_off]
        self._scopes = scopes

    async def remove(self) -> int:
        """Delete what is left; return how much it was. What this account may not do, or what fails, is left and logged."""
        count = 0
        for resource in self._kinds:
            for scope in self._scopes:
                try:
                    count += await self._remove(resource, scope)
                except ApiError as error:
                    logger.warning("leftovers_kept", extra={"resource": resource.plural, "error": error.message})
        return count

    async def _remove(self, resource: Resource, scope: str | None) -> int:
        if not await may(self._api, resource, ("list", "delete"), scope):
            logger.debug("leftovers_not_looked_for", extra={"resource": resource.plural, "namespace": scope})
            return 0
        try:
            found = await self._api.list_all(resource, scope, MADE_BY_US)
        except GoneError:
            return 0  # the cluster does not have the kind
        ours = [obj for obj in found if self._is_ours(obj)]
        for obj in ours:
            meta = obj["metadata"]
            await self._api.delete(resource, meta["namespace"], meta["name"], uid=meta["uid"])
        if ours:
            logger.info("leftovers_removed", extra={"resource": resource.plural, "count": len(ours)})
        return len(ours)

    def _is_ours(self, obj: Json) -> bool:
        for ref in obj["metadata"].get("ownerReferences") or ():
            own = _BY_KIND.get(str(ref.get("kind")))
            if own is None or not str(ref.get("apiVersion", "")).startswith(f"{GROUP}/"):
                continue
            owner = self._cache.get(own, obj["metadata"]["namespace"], str(ref.get("name")))
            if owner is not None and owner["metadata"]["uid"] == ref.get("uid"):
                return True
        return False
