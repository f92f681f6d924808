"""The operator's HTTP port: /livez, /readyz and /metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from umbel_operator.kube.access import NotReadyError
from umbel_operator.kube.errors import ApiError
from umbel_operator.runtime.metrics import Metrics

#: Seconds that one reconcile may take before the process counts as stuck; each of its requests ends after 30.
STUCK_AFTER = 300.0
#: An answer of the API server younger than this many seconds shows that it can be reached.
API_FRESH = 15.0


class Health:
    """Know whether the process works, and whether it can do its work.

    ping: asks the API server something cheap and raises where no answer comes.
    ready: tells what is still missing before the first plan; empty when nothing is.
    """

    def __init__(self, ping: Callable[[], Awaitable[object]], ready: Callable[[], str]) -> None:
        self._ping = ping
        self._ready = ready
        self._busy_since: dict[object, float] = {}
        self._answered_at = float("-inf")

    def answered(self) -> None:
        """Note that the API server answered just now."""
        self._answered_at = time.monotonic()

    def begin(self, work: object) -> None:
        """Note that a piece of work began."""
        self._busy_since[work] = time.monotonic()

    def end(self, work: object) -> None:
        """Note that it ended."""
        self._busy_since.pop(work, None)

    def stuck(self) -> str:
        """Name a piece of work that takes too long, or nothing."""
        now = time.monotonic()
        late = [work for work, since in self._busy_since.items() if now - since > STUCK_AFTER]
        return f"in work for more than {STUCK_AFTER:.0f} s: {late[0]}" if late else ""

    async def unready(self) -> str:
        """Say why the operator cannot work right now, or nothing."""
        missing = self._ready()
        if missing:
            return missing
        if time.monotonic() - self._answered_at > API_FRESH:
            try:
                async with asyncio.timeout(5):
                    await self._ping()
            except (TimeoutError, ApiError, NotReadyError) as error:
                return f"the API server does not answer: {error}"
        return ""


@dataclass(slots=True)
class ProbeServer:
    """Serve the probes and the metrics on one port.

    port: 0 takes any free one.
    """

    health: Health
    metrics: Metrics
    port: int
    host: str = "0.0.0.0"
    _runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Begin to listen; return the port."""
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self._livez), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self.port

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        return _verdict(self.health.stuck())

    async def _readyz(self, request: web.Request) -> web.Response:
        return _verdict(await self.health.unready())

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _verdict(fault: str) -> web.Response:
    return web.Response(text=f"{fault or 'ok'}\n", status=503 if fault else 200)
