"""Ask a process whether it is ready and alive, as the kubelet does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from umbel_operator.local.http import ask

#: Seconds between two probes: of a process that is not ready yet, and of one that is.
EAGER_PERIOD: Final = 0.2
CALM_PERIOD: Final = 2.0
#: Seconds without a good answer of /livez after which a process that once was alive counts as stuck.
STUCK_SECONDS: Final = 30.0


class Prober:
    """Probes one process until it is cancelled.

    port: that it listens on.
    probed: takes whether it is ready, after each probe.
    stuck: called with the seconds for which it has not been alive.
    """

    def __init__(self, port: int, probed: Callable[[bool], None], stuck: Callable[[float], None]) -> None:
        self._port = port
        self._probed = probed
        self._stuck = stuck

    async def run(self) -> None:
        """Probe, and probe again."""
        alive_at: float | None = None
        while True:
            ready = await _is_good(self._port, "/readyz")
            self._probed(ready)
            if ready or await _is_good(self._port, "/livez"):
                alive_at = time.monotonic()
            elif alive_at is not None and time.monotonic() - alive_at > STUCK_SECONDS:
                alive_at = None
                self._stuck(STUCK_SECONDS)
            await asyncio.sleep(CALM_PERIOD if ready else EAGER_PERIOD)


async def _is_good(port: int, path: str) -> bool:
    try:
        return (await ask(port, path)).status == 200
    except (OSError, TimeoutError):
        return False
