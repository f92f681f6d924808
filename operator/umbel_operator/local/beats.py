"""Ask each Broker's beat how things stand, and tell it of pods that were killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT
from umbel_operator.local.http import ask
from umbel_operator.local.pod import Phase, Pod
from umbel_operator.plan.sample import Sample, read_sample

#: Seconds between two questions.
PERIOD: Final = 1.0

BrokerName = tuple[str, str]


@dataclass(slots=True)
class _Known:
    sample: Sample | None = None
    etag: str | None = None
    port: int = 0
    misses: int = 0
    error: str | None = None


class Beats:
    """See the module.

    pods: returns all pods.
    changed: called when an answer differs from the last one.
    """

    def __init__(self, pods: Callable[[], Iterable[Pod]], changed: Callable[[], None]) -> None:
        self._pods = pods
        self._changed = changed
        self._known: dict[BrokerName, _Known] = {}

    def sample(self, namespace: str, broker: str) -> Sample | None:
        """Return what a Broker's beat said last; None where it never answered."""
        known = self._known.get((namespace, broker))
        if known is None or known.sample is None:
            return None
        return replace(known.sample, failed_polls=known.misses, poll_error=known.error)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.gather(*(self._poll(name, pods) for name, pods in self._by_broker().items()))
            await asyncio.sleep(max(0.0, PERIOD - (time.monotonic() - began)))

    async def tell_killed(self, namespace: str, broker: str, uid: str) -> None:
        """Give beat the hint that a pod is gone; where that fails, missed heartbeats do the work."""
        for pod in self._by_broker().get((namespace, broker), ()):
            try:
                await ask(pod.port, "/v1/pods/gone", method="POST", body={"uids": [uid]})
            except (OSError, TimeoutError):
                continue
            return

    def _by_broker(self) -> dict[BrokerName, list[Pod]]:
        found: dict[BrokerName, list[Pod]] = {}
        for pod in self._pods():
            labels = pod.manifest["metadata"]["labels"]
            if labels.get(LABEL_COMPONENT) == "beat":
                name = (pod.manifest["metadata"]["namespace"], labels[LABEL_BROKER])
                found.setdefault(name, []).append(pod)
        return {name: sorted(pods, key=lambda pod: pod.phase is not Phase.READY) for name, pods in found.items()}

    async def _poll(self, name: BrokerName, pods: list[Pod]) -> None:
        known = self._known.setdefault(name, _Known())
        pod = pods[0]
        try:
            answer = await ask(pod.port, "/v1/status", etag=known.etag if known.port == pod.port else None)
            if answer.status not in (200, 304):
                raise OSError(f"beat answered HTTP {answer.status}")
        except (OSError, TimeoutError) as error:
            known.misses, known.error = known.misses + 1, str(error) or type(error).__name__
            return
        now, recovered = datetime.now(UTC), known.misses > 0
        known.misses, known.error, known.port = 0, None, pod.port
        if answer.status == 304 and known.sample is not None:
            known.sample = replace(known.sample, taken_at=now)
        else:
            known.sample, known.etag = read_sample(answer.json(), now), answer.etag
            recovered = True
        if recovered:
            self._changed()
