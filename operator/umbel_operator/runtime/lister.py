"""List each kind ourselves: before the first plan, every ten minutes, and whenever a watch may have missed something."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, Json
from umbel_operator.kube.resources import MADE_BY_US, OWN, Resource
from umbel_operator.runtime.cache import Cache, Change, compact

logger = logging.getLogger(__name__)

#: Seconds between two lists of a kind, and by what share they vary.
RESYNC, RESYNC_JITTER = 600.0, 0.1
#: A second list so many seconds after the first: kopf's watches begin later than our list and do not tell what
#: vanished in between.
SETTLE = 10.0
#: Seconds from a wish for a list to the list, so that a burst of wishes makes one.
GATHER = 2.0
#: Seconds after a list that failed: at first and at most.
RETRY_FIRST, RETRY_LAST = 1.0, 30.0


@dataclass(slots=True)
class _Loop:
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Lister:
    """Keep one loop for each kind.

    scopes: the namespaces that are watched, or (None,) for all.
    wanted: tells whether an object is ours to know.
    changed: called with each change that a list brought to light.
    listed: called after each complete list of a kind; the flag says whether it was the periodic one.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        resources: Collection[Resource],
        scopes: Collection[str | None],
        *,
        wanted: Callable[[Json], bool],
        changed: Callable[[Change], None],
        listed: Callable[[Resource, bool], None],
    ) -> None:
        self._api = api
        self._cache = cache
        self._scopes = tuple(scopes)
        self._wanted = wanted
        self._changed = changed
        self._listed = listed
        self._loops = {resource: _Loop() for resource in resources}

    def start(self) -> None:
        """Begin with a list of every kind."""
        for resource, loop in self._loops.items():
            loop.task = asyncio.create_task(self._run(resource, loop), name=f"list {resource.plural}")

    async def stop(self) -> None:
        """End all loops."""
        tasks = [loop.task for loop in self._loops.values() if loop.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def request(self, resource: Resource) -> None:
        """Ask for a list of a kind soon."""
        self._loops[resource].wanted.set()

    def request_all(self) -> None:
        """Ask for a list of every kind soon: the API server was out of reach."""
        for resource in self._loops:
            self.request(resource)

    async def _run(self, resource: Resource, loop: _Loop) -> None:
        await self._insist(resource)
        wait = SETTLE
        while True:
            periodic = False
            try:
                async with asyncio.timeout(wait):
                    await loop.wanted.wait()
                await asyncio.sleep(GATHER)
            except TimeoutError:
                periodic = wait != SETTLE
            loop.wanted.clear()
            await self._insist(resource, periodic)
            wait = RESYNC * random.uniform(1 - RESYNC_JITTER, 1 + RESYNC_JITTER)

    async def _insist(self, resource: Resource, periodic: bool = False) -> None:
        wait = RETRY_FIRST
        while True:
            try:
                await self.list_once(resource)
            except ApiError as error:
                logger.warning("list_failed", extra={"resource": resource.plural, "error": error.message})
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
                wait = min(RETRY_LAST, 2 * wait)
            except Exception:
                # A fault of ours with one object must not end the lists of its kind for good.
                logger.exception("list_crashed", extra={"resource": resource.plural})
                await asyncio.sleep(RETRY_LAST)
            else:
                self._listed(resource, periodic)
                return

    async def list_once(self, resource: Resource) -> None:
        """Replace what the cache holds of a kind by a list."""
        selector = "" if resource in OWN else MADE_BY_US
        for scope in self._scopes:
            mark = self._cache.mark()
            items = await self._api.list_all(resource, scope, selector, take=compact)
            for change in self._cache.replace(resource, scope, filter(self._wanted, items), mark):
                self._changed(change)
