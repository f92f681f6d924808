"""Write a status when it has changed: what matters at once, numbers at a measured pace."""

import time
from collections.abc import Callable

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import GoneError, Json, NamespaceTerminatingError
from umbel_operator.kube.resources import resource_of
from umbel_operator.plan.model import Manifest
from umbel_operator.plan.status import merge_patch, urgent
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.metrics import Metrics

#: Writes of mere numbers, of all resources together: so many a second, and so many at once.
REFRESHES_PER_SECOND, REFRESH_BURST = 10.0, 20.0
#: Seconds between two refreshes of the numbers of one resource, at least.
REFRESH_PERIOD = 30.0


class Pace:
    """Say when the numbers of a resource may be written again.

    clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[Key, float] = {}
        self._tokens, self._tokens_at = REFRESH_BURST, clock()

    def wait(self, key: Key) -> float:
        """Tell for how many seconds a refresh of this resource must wait; 0 takes the turn."""
        rest = self.rest(key)
        if rest > 0:
            return rest
        now = self._clock()
        self._tokens = min(REFRESH_BURST, self._tokens + (now - self._tokens_at) * REFRESHES_PER_SECOND)
        self._tokens_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / REFRESHES_PER_SECOND
        self._tokens -= 1
        return 0.0

    def rest(self, key: Key) -> float:
        """Tell for how many seconds the numbers of this resource count as fresh; the more resources, the longer."""
        period = max(REFRESH_PERIOD, len(self._written) / REFRESHES_PER_SECOND)
        return max(0.0, self._written.get(key, float("-inf")) + period - self._clock())

    def written(self, key: Key) -> None:
        """Note that a status was written."""
        self._written[key] = self._clock()

    def forget(self, key: Key) -> None:
        """Drop a resource that is gone."""
        self._written.pop(key, None)


class StatusWriter:
    """Bring statuses to the API server.

    take: called with each object that the API server answered with.
    """

    def __init__(self, api: Api, pace: Pace, metrics: Metrics, take: Callable[[Json], None]) -> None:
        self._api = api
        self._pace = pace
        self._metrics = metrics
        self._take = take

    async def write(self, key: Key, owner: Json, wanted: Manifest) -> float:
        """Write what differs, if it is time.

        owner: the resource as the API gave it. Returns the seconds after which to come back; 0 where all is written.
        """
        patch = merge_patch(owner.get("status") or {}, wanted)
        if not patch:
            return 0.0
        if not urgent(patch):
            wait = self._pace.wait(key)
            if wait > 0:
                return wait
        meta = owner["metadata"]
        try:
            answer = await self._api.patch_status(resource_of(owner), meta.get("namespace"), meta["name"], patch)
        except (GoneError, NamespaceTerminatingError):
            return 0.0
        self._pace.written(key)
        self._metrics.status_writes.labels(key.kind).inc()
        self._take(answer)
        return 0.0
