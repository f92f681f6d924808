"""A real beat on a real Redis, fed by a real API server: what the kubelet and the Service do on a cluster is done here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.beat.mounted import MountedConfig
from tests.integration.beat.process import BeatProcess
from tests.operator.apiproxy import ApiProxy, Seen
from tests.redis_server import RedisServer

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import CONFIGMAPS

#: Seconds between two looks at the ConfigMaps, as the kubelet looks when a pod is nudged.
EVERY = 0.3


class RealBeat:
    """beat as a process; its answers take the place of those that the API server's proxy to the Service would give."""

    def __init__(self, api: Api, namespace: str, process: BeatProcess, config: MountedConfig) -> None:
        self._api = api
        self._namespace = namespace
        self.process = process
        self._config = config
        self._seen: dict[str, str] = {}
        self.up = True

    def answer(self, seen: Seen) -> Json | None:
        """Answer a request through the proxy to the Service."""
        _, service, path = seen.path.partition(f"/namespaces/{self._namespace}/services/default-beat:8080/proxy")
        if not service:
            return None
        code, _, body = self.process.get(path) if self.up else (0, {}, b"")
        if code == 0:
            return {"kind": "Status", "message": "no endpoints available", "code": 503}
        found: dict[str, Any] = json.loads(body)
        return found

    async def follow(self) -> None:
        """Bring each new state of the ConfigMaps into beat's directory, until cancelled."""
        while True:
            files: dict[str, str] = {}
            for obj in await self._api.list_all(CONFIGMAPS, self._namespace):
                if obj["metadata"]["name"].startswith("default-config-"):
                    files.update(obj.get("data") or {})
            if files and files != self._seen:
                self._config.put(files)
                self._seen = files
            await asyncio.sleep(EVERY)


@asynccontextmanager
async def real_beat(
    api: Api, namespace: str, proxy: ApiProxy, redis: RedisServer, prefix: str, folder: Path
) -> AsyncIterator[RealBeat]:
    """Run a beat for the Broker `default` of a namespace, and let the operator reach it through a proxy."""
    config = MountedConfig(folder / "mounted")
    process = BeatProcess(redis, prefix, folder / "beat.log", "--config-dir", str(config.path))
    beat = RealBeat(api, namespace, process, config)
    proxy.answer = beat.answer
    following = asyncio.create_task(beat.follow())
    try:
        yield beat
        assert not following.done(), following.exception()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        process.end()
    assert "Traceback" not in process.text(), process.text()
