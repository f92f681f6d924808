"""Tell beat of Pods that vanished, or whose Node did, so that it need not wait for their heartbeats to fail."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from umbel_operator.api.names import LABEL_BROKER
from umbel_operator.kube.errors import Json
from umbel_operator.runtime.beatclient import BeatRoute, BeatUnreachableError
from umbel_operator.runtime.beatpoller import BrokerName
from umbel_operator.runtime.cache import Change

logger = logging.getLogger(__name__)

#: Seconds in which the Pods of one beat are gathered into one call.
GATHER = 0.2
#: Seconds before each further attempt; after the last, missed heartbeats do the work.
ATTEMPTS = (0.5, 1.0, 2.0)
#: Pods in one call.
AT_ONCE = 500

_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(slots=True)
class _News:
    """What one beat is to hear: Pods that are gone, and those whose Node is."""

    gone: list[str] = field(default_factory=list)
    nodeless: list[str] = field(default_factory=list)

    def bodies(self) -> Iterator[Json]:
        """Put it into calls of a bounded size."""
        for start in range(0, max(len(self.gone), len(self.nodeless)), AT_ONCE):
            body: Json = {"uids": self.gone[start : start + AT_ONCE]}
            nodeless = self.nodeless[start : start + AT_ONCE]
            yield {**body, "nodeless": nodeless} if nodeless else body


def gone_pod(change: Change) -> tuple[BrokerName, str] | None:
    """Tell which Broker should hear that a Pod runs no more, and the Pod's uid; None where it lives or is no worker."""
    obj = change.object
    if obj["kind"] != "Pod" or not (change.new is None or (_ended(change.new) and not _ended(change.old))):
        return None
    return _told_of(obj)


def _told_of(pod: Json) -> tuple[BrokerName, str] | None:
    """Tell which Broker's beat knows a Pod, and the Pod's uid."""
    meta = pod["metadata"]
    broker = (meta.get("labels") or {}).get(LABEL_BROKER)
    if not broker or not meta.get("uid"):
        return None
    return (str(meta.get("namespace") or ""), str(broker)), str(meta["uid"])


class Goners:
    """Gather the uids of Pods that are gone, and send them to the beat of their Broker."""

    def __init__(self, route: BeatRoute) -> None:
        self._route = route
        self._waiting: dict[BrokerName, _News] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, change: Change) -> None:
        """Look at one change of the cache."""
        gone = gone_pod(change)
        if gone is None:
            return
        broker, uid = gone
        self._news_for(broker).gone.append(uid)

    def strand(self, node: str, pods: Iterable[Json]) -> None:
        """Look at all Pods: the Node of this name is gone. Those that were on it may live on, if the machine does."""
        for pod in pods:
            told_of = _told_of(pod) if (pod.get("spec") or {}).get("nodeName") == node and not _ended(pod) else None
            if told_of is not None:
                broker, uid = told_of
                self._news_for(broker).nodeless.append(uid)

    def _news_for(self, broker: BrokerName) -> _News:
        """Find what a beat is to hear; where there was nothing, have it told in a moment."""
        if broker not in self._waiting:
            self._waiting[broker] = _News()
            task = asyncio.create_task(self._send(broker), name=f"pods gone {'/'.join(broker)}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._waiting[broker]

    async def join(self) -> None:
        """Wait until everything noted so far was sent or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Drop what was not sent: it is a hint only."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, broker: BrokerName) -> None:
        await asyncio.sleep(GATHER)
        for body in self._waiting.pop(broker).bodies():
            await self._tell(broker, body)

    async def _tell(self, broker: BrokerName, body: Json) -> None:
        pods = sum(len(uids) for uids in body.values())
        error = ""
        for wait in (*ATTEMPTS, 0.0):
            try:
                reply = await self._route.call(*broker, "POST", "/v1/pods/gone", body=body)
            except BeatUnreachableError as unreachable:
                error = str(unreachable)
            else:
                if reply.status < 300:
                    logger.debug("pods_gone_told", extra={"broker": "/".join(broker), "pods": pods})
                    return
                error = f"beat answered HTTP {reply.status}"
            await asyncio.sleep(wait)
        logger.info("pods_gone_untold", extra={"broker": "/".join(broker), "pods": pods, "error": error})


def _ended(pod: Json | None) -> bool:
    return pod is not None and (pod.get("status") or {}).get("phase") in _ENDED
