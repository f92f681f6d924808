"""What deleting a resource takes with it, what it waits for, and what is left."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.operator.apiproxy import ApiProxy, Seen, proxied
from tests.operator.living import broker, condition, filled, installed, operator, queue, until, when

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import BROKERS, CONFIGMAPS, DEPLOYMENTS, EVENTS, TASKQUEUES, WORKERPOOLS, Resource
from umbel_operator.kube.transport import Request

WithServer = Callable[[Any], None]
Patch = pytest.MonkeyPatch

pytestmark = pytest.mark.timeout(180)


async def gone(api: Api, kind: Resource, namespace: str, name: str, seconds: float = 20.0) -> None:
    async def look() -> bool | None:
        return await api.get(kind, namespace, name) is None or None

    await until(f"{name} to go", look, seconds)


async def delete(api: Api, kind: Resource, namespace: str, name: str, policy: str = "Background") -> None:
    """Delete as `kubectl delete --cascade` does: background, foreground or orphan."""
    path = kind.path(namespace, name)
    await api.transport.send(Request("DELETE", path, what=f"delete {name}", body={"propagationPolicy": policy}))


async def with_controllers(api: Api, namespace: str) -> None:
    """Skip the test on an API server without controllers: nobody collects what has lost its owner there."""
    for _ in range(50):
        if await api.get(CONFIGMAPS, namespace, "kube-root-ca.crt") is not None:
            return
        await asyncio.sleep(0.1)
    pytest.skip("needs a cluster with kube-controller-manager: this API server has none")


def test_a_pool_takes_its_workers_with_it_unless_it_is_told_to_leave_them(with_api_server: WithServer) -> None:
    """Given a pool deleted with --cascade=orphan, then its Deployment stays as it is, and a new pool of that name takes it over;
    deleted in the usual way, the Deployment goes too."""

    async def use(api: Api, namespace: str) -> None:
        await with_controllers(api, namespace)
        async with operator(api, namespace):
            await filled(api, namespace)
            before = await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"))
            pool = await api.get(WORKERPOOLS, namespace, "mail")
            assert pool is not None
            await delete(api, WORKERPOOLS, namespace, "mail", "Orphan")
            await gone(api, WORKERPOOLS, namespace, "mail")
            await asyncio.sleep(3)
            left = await api.get(DEPLOYMENTS, namespace, "mail-worker")
            assert left is not None
            assert left["metadata"]["uid"] == before["metadata"]["uid"]
            assert "ownerReferences" not in left["metadata"]
            assert left["spec"] == before["spec"]
            meta = {"name": "mail", "namespace": namespace}
            spec = {**pool["spec"], "replicas": 2}
            again = await api.create({**{k: pool[k] for k in ("apiVersion", "kind")}, "metadata": meta, "spec": spec})

            async def taken_over() -> Json | None:
                live = await api.get(DEPLOYMENTS, namespace, "mail-worker") or {"metadata": {}}
                owners = live["metadata"].get("ownerReferences") or ({},)
                return live if owners[0].get("uid") == again["metadata"]["uid"] else None

            live = await until("the new pool to take it over", taken_over)
            assert live["metadata"]["uid"] == before["metadata"]["uid"]
            assert live["spec"]["replicas"] == 2
            await delete(api, WORKERPOOLS, namespace, "mail")
            await gone(api, DEPLOYMENTS, namespace, "mail-worker", 60)

    with_api_server(use)


def test_a_broker_in_use_goes_by_force(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace):
            await filled(api, namespace)

            async def held() -> bool | None:
                live = await api.get(BROKERS, namespace, "default") or {"metadata": {}}
                return "umbel.dev/in-use" in live["metadata"].get("finalizers", ()) or None

            await until("the finalizer", held)
            await delete(api, BROKERS, namespace, "default")

            async def says_in_use() -> bool | None:
                found = await condition(api, BROKERS, namespace, "default", "Ready")
                return (found is not None and found["reason"] == "InUse") or None

            await until("InUse", says_in_use)
            force = {"metadata": {"annotations": {"umbel.dev/force-delete": "true"}}}
            await api.merge_patch(BROKERS, namespace, "default", force)
            await gone(api, BROKERS, namespace, "default")

    with_api_server(use)


class Beat:
    """What beat answers, at the place of the Service's proxy."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self.up = True
        self.queues: dict[str, Json] = {}
        self.serial = "0"

    async def follow(self) -> None:
        """Load the newest configuration."""
        live = await self._api.get(CONFIGMAPS, self._namespace, "default-config-index")
        if live is not None:
            self.serial = str(json.loads(live["data"]["index.json"])["serial"])

    def answer(self, seen: Seen) -> Json | None:
        if "default-beat" not in seen.path or "/proxy/" not in seen.path:
            return None
        if not self.up:
            return {"kind": "Status", "message": "no endpoints available", "code": 503}
        redis = {"ok": True, "version": "7.0.15", "error": None, "reason": None}
        return {"leader": True, "loadedRevision": self.serial, "loadErrors": [], "redis": redis, "queues": self.queues}


async def purge_of(api: Api, namespace: str, name: str) -> str | None:
    live = await api.get(CONFIGMAPS, namespace, "default-config-000") or {}
    shard = json.loads((live.get("data") or {}).get("shard-000.json", '{"queues": []}'))
    return next((q.get("purge") for q in shard["queues"] if q["resource"] == name), None)


async def draining(api: Api, namespace: str, name: str, reason: str) -> bool | None:
    found = await condition(api, TASKQUEUES, namespace, name, "Draining")
    return (found is not None and found["reason"] == reason) or None


def through(proxy: ApiProxy, monkeypatch: Patch, folder: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", proxy.kubeconfig(folder))


def test_a_queue_goes_once_beat_says_that_it_is_purged_or_empty(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            beat = Beat(api, namespace)
            proxy.answer = beat.answer
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace):
                await api.create(broker(namespace))
                made = {}
                for name, policy in (("purged", "Purge"), ("drained", "WaitUntilEmpty"), ("kept", "Retain")):
                    made[name] = await api.create(queue(name, namespace, deletionPolicy=policy))
                    beat.queues[name] = {"ready": 3, "delayed": 0, "parked": 1, "inFlight": 0, "dead": 2}

                async def held(name: str) -> bool | None:
                    live = await api.get(TASKQUEUES, namespace, name) or {"metadata": {}}
                    return "umbel.dev/queue" in live["metadata"].get("finalizers", ()) or None

                for name in ("purged", "drained"):
                    await until(f"the finalizer of {name}", lambda n=name: held(n))  # type: ignore[misc]
                for name in made:
                    await delete(api, TASKQUEUES, namespace, name)
                await gone(api, TASKQUEUES, namespace, "kept")
                await until("Purging", lambda: draining(api, namespace, "purged", "Purging"))
                await until("Waiting", lambda: draining(api, namespace, "drained", "WaitingUntilEmpty"))
                uid = await until("beat to be told", lambda: purge_of(api, namespace, "purged"))
                assert uid == made["purged"]["metadata"]["uid"]
                assert await purge_of(api, namespace, "drained") is None
                # Nothing waits any more but a parked task: that is not empty.
                beat.queues["drained"] |= {"ready": 0}
                beat.queues["purged"] |= {"purged": "another"}
                await beat.follow()
                await asyncio.sleep(4)
                assert await api.get(TASKQUEUES, namespace, "drained") is not None
                assert await api.get(TASKQUEUES, namespace, "purged") is not None
                beat.queues["drained"] |= {"parked": 0}
                beat.queues["purged"] |= {"purged": uid}
                await beat.follow()
                await gone(api, TASKQUEUES, namespace, "purged", 40)
                await gone(api, TASKQUEUES, namespace, "drained", 40)

    with_api_server(use)


def test_a_queue_whose_beat_is_silent_for_too_long_goes_with_a_warning(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Given the ten minutes cut short, when beat does not answer, then the finalizer is released and an event says why."""
    monkeypatch.setattr("umbel_operator.plan.queue.GIVE_UP_SECONDS", 5)

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            beat = Beat(api, namespace)
            beat.up = False
            proxy.answer = beat.answer
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace) as app:
                await api.create(broker(namespace))
                await api.create(queue("purged", namespace, deletionPolicy="Purge"))

                async def held() -> bool | None:
                    live = await api.get(TASKQUEUES, namespace, "purged") or {"metadata": {}}
                    return "umbel.dev/queue" in live["metadata"].get("finalizers", ()) or None

                await until("the finalizer", held)
                await delete(api, TASKQUEUES, namespace, "purged")
                await gone(api, TASKQUEUES, namespace, "purged", 30)

                async def warned() -> bool | None:
                    events = await api.list_all(EVENTS, namespace)
                    return any(e["reason"] == "DrainTimeout" and "stay in Redis" in e["note"] for e in events) or None

                await until("the warning", warned)
                assert await when(app.cache.synced)

    with_api_server(use)
