"""Know which namespaces are being deleted: there nothing of ours may hold up anything."""

import time
from collections.abc import Callable

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, Json
from umbel_operator.kube.resources import NAMESPACES, PODS
from umbel_operator.runtime.cache import Cache

#: Seconds for which "it stays" and "it goes" hold.
STAYS_FRESH, GOES_FRESH = 2.0, 60.0


class Namespaces:
    """Ask about a namespace when something in it hints at its end.

    The hints: a resource of ours that is deleted and held, or a Pod of ours that ends. The latter matters. A namespace
    loses its Pods first and the rest afterwards, in any order; an operator whose rights come from a Role in that
    namespace then has no right any more to release its finalizers, so it must release them while the Pods end.

    going: called once with a namespace that turns out to be going.
    """

    def __init__(self, api: Api, cache: Cache, going: Callable[[str], None]) -> None:
        self._api = api
        self._cache = cache
        self._going = going
        self._known: dict[str, tuple[bool, float]] = {}

    async def is_going(self, obj: Json) -> bool:
        """Tell whether the namespace of a resource is being deleted; False where it cannot be known."""
        meta = obj["metadata"]
        namespace = str(meta["namespace"])
        known, at = self._known.get(namespace, (False, float("-inf")))
        if time.monotonic() - at < (GOES_FRESH if known else STAYS_FRESH):
            return known
        if not (meta.get("deletionTimestamp") and meta.get("finalizers")) and not self._pods_end(namespace):
            return False
        try:
            found = await self._api.get(NAMESPACES, None, namespace)
        except ApiError:
            # Most likely no right to look: then the API server's refusals to create will tell.
            return False
        self._note(namespace, found is None or bool(found["metadata"].get("deletionTimestamp")))
        return self._known[namespace][0]

    def refused(self, namespace: str) -> None:
        """Note that the API server refused to create something because the namespace is going."""
        self._note(namespace, True)

    def _note(self, namespace: str, going: bool) -> None:
        before = self._known.get(namespace, (False, 0.0))[0]
        self._known[namespace] = (going, time.monotonic())
        if going and not before:
            self._going(namespace)

    def _pods_end(self, namespace: str) -> bool:
        return any(pod["metadata"].get("deletionTimestamp") for pod in self._cache.all(PODS, namespace))
