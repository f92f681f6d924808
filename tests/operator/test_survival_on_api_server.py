"""The operator while the API server is away, refuses, loses answers or falls silent; and while it is killed itself."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.operator.apiproxy import ApiProxy, Fault, Seen, proxied
from tests.operator.living import (
    OperatorProcess,
    broker,
    condition,
    filled,
    installed,
    operator,
    pool,
    queue,
    schedule,
    until,
    when,
)

from umbel_operator import handlers
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import (
    BROKERS,
    CONFIGMAPS,
    DEPLOYMENTS,
    NAMESPACES,
    SCHEDULES,
    SERVICES,
    TASKQUEUES,
    WORKERPOOLS,
)

WithServer = Callable[[Any], None]
Patch = pytest.MonkeyPatch

pytestmark = pytest.mark.timeout(300)

#: Seconds for which the API server is away.
OUTAGE = float(os.environ.get("UMBEL_OUTAGE_SECONDS", "25"))
#: The promise: seconds from its return to the first change that is acted on.
SOON = 10.0


def through(proxy: ApiProxy, monkeypatch: Patch, folder: Path) -> str:
    """Lead the operator through a proxy; return the kubeconfig for a process."""
    kubeconfig = proxy.kubeconfig(folder)
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    return kubeconfig


async def deployed(api: Api, namespace: str, name: str, seconds: float = 20.0) -> Json:
    return await until(f"the Deployment of {name}", lambda: api.get(DEPLOYMENTS, namespace, f"{name}-worker"), seconds)


async def ordered(api: Api, namespace: str, name: str) -> None:
    """Make a queue with a pool."""
    await api.create(queue(name, namespace))
    await api.create(pool(name, namespace))


async def settled(api: Api, namespace: str, names: list[str], seconds: float) -> None:
    """Wait until all that these queues and pools ask for is there, and their statuses tell of it."""

    async def rendered() -> bool | None:
        shard = await api.get(CONFIGMAPS, namespace, "default-config-000") or {}
        text = (shard.get("data") or {}).get("shard-000.json", "")
        return all(f'"resource":"{name}"' in text.replace(" ", "") for name in names) or None

    async def told(name: str) -> bool | None:
        live = await api.get(WORKERPOOLS, namespace, name) or {}
        status = live.get("status") or {}
        return status.get("observedGeneration") == live.get("metadata", {}).get("generation") or None

    async with asyncio.timeout(seconds):
        for name in names:
            await deployed(api, namespace, name, seconds)
            await until(f"the status of {name}", lambda n=name: told(n), seconds)  # type: ignore[misc]
        for kind, name in ((DEPLOYMENTS, "default-beat"), (SERVICES, "default-beat"), (CONFIGMAPS, "default-client")):
            await until(name, lambda k=kind, n=name: api.get(k, namespace, n), seconds)  # type: ignore[misc]
        await until("all queues in beat's configuration", rendered, seconds)


def test_an_outage_of_the_api_server(with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch) -> None:
    """Given an operator at work, when the API server is away and comes back, then its own probe said so meanwhile, and
    what was changed in between is acted on within ten seconds of its return."""

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with (
            proxied(os.environ["KUBECONFIG"]) as proxy,
            OperatorProcess(through(proxy, monkeypatch, tmp_path), namespace, tmp_path / "log") as one,
        ):
            await until("the operator to be ready", one.is_ready, 60)
            await filled(api, namespace)
            await deployed(api, namespace, "mail")
            proxy.away(True)
            gone = time.monotonic()

            async def unready() -> bool | None:
                status, said = await one.ask("/readyz")
                return (status == 503 and "does not answer" in said) or None

            await until("the probe to say so", unready, 40)
            assert (await one.ask("/livez"))[0] == 200
            await ordered(api, namespace, "later")
            await api.merge_patch(WORKERPOOLS, namespace, "mail", {"spec": {"replicas": 3}})
            await asyncio.sleep(max(0.0, OUTAGE - (time.monotonic() - gone)))
            assert (await one.ask("/readyz"))[0] == 503
            proxy.away(False)
            back = time.monotonic()
            await deployed(api, namespace, "later", SOON)

            async def scaled() -> bool | None:
                live = await api.get(DEPLOYMENTS, namespace, "mail-worker") or {}
                return live["spec"]["replicas"] == 3 or None

            await until("the pool to be scaled", scaled, SOON)
            assert time.monotonic() - back < SOON
            await until("the probe to be well", one.is_ready, 15)
            assert "Traceback" not in one.log()

    with_api_server(use)


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait_is_not_asked_before(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch, status: int
) -> None:
    """Given an API server that refuses all writes and asks to wait 4 s, then no write is repeated sooner, and once it
    takes them again each child is created once."""

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace):
                proxy.fault = lambda seen: (
                    Fault(status, retry_after=4) if seen.writes and "/events" not in seen.path else None
                )
                began = time.monotonic()
                await filled(api, namespace)
                await asyncio.sleep(9)
                tries = Counter((s.method, s.path) for s in proxy.writes(began) if "mail" in s.path)
                assert tries
                assert max(tries.values()) <= 3
                for key in tries:
                    at = [s.at for s in proxy.writes(began) if (s.method, s.path) == key]
                    assert all(b - a >= 3.9 for a, b in pairwise(at))
                proxy.fault = lambda seen: None
                await settled(api, namespace, ["mail"], 60)

    with_api_server(use)


def test_answers_that_are_lost_make_no_duplicates(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Given requests of which a third fail with 409, 429 or 500 or lose their answer, then all comes out as it should."""
    rng = random.Random(7)
    faults = [Fault(500), Fault(429, retry_after=1), Fault(0), Fault(0, after=True), Fault(500, after=True)]
    conflicts = [Fault(409)]  # which no server answers to who only reads

    def fault(seen: Seen) -> Fault | None:
        if seen.watch or rng.random() > 0.33:
            return None
        return rng.choice(faults + conflicts if seen.writes else faults)

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace) as app:
                proxy.fault = fault
                await filled(api, namespace)
                names = [f"q{n}" for n in range(5)]
                for name in names:
                    await ordered(api, namespace, name)
                await asyncio.sleep(15)
                proxy.fault = lambda seen: None
                await settled(api, namespace, ["mail", *names], 120)
                deployments = await api.list_all(DEPLOYMENTS, namespace)
                assert sorted(d["metadata"]["name"] for d in deployments) == sorted(
                    ["default-beat", "mail-worker", *(f"{name}-worker" for name in names)]
                )
                # Nothing but itself in the way: a lost answer to a create is no conflict with somebody else.
                for name in ("mail", *names):
                    found = await condition(api, WORKERPOOLS, namespace, name, "Progressing")
                    assert found is not None
                    assert found["reason"] not in ("ResourceConflict", "TemplateInvalid")
                counted = [
                    s
                    for m in app.metrics.reconciles.collect()
                    for s in m.samples
                    if s.labels.get("result") == "crashed"
                ]
                assert counted == []

    with_api_server(use)


def test_a_watch_that_falls_silent_is_replaced(with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch) -> None:
    """Given watches that stay open and say nothing, then they count as dead after a while of silence."""
    monkeypatch.setattr(handlers, "WATCH_SILENT_SECONDS", 4)

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace) as app:
                await filled(api, namespace)
                await deployed(api, namespace, "mail")
                proxy.stall(True)
                stalled = [s for s in proxy.seen if s.watch]
                await ordered(api, namespace, "later")
                await asyncio.sleep(1)
                assert app.cache.get(TASKQUEUES, namespace, "later") is None
                await until("new watches", lambda: when(len([s for s in proxy.seen if s.watch]) > len(stalled)), 30)
                proxy.stall(False)
                await deployed(api, namespace, "later", 30)

    with_api_server(use)


def test_rights_that_are_missing_are_said_in_one_line(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            proxy.user = f"system:serviceaccount:{namespace}:nobody"
            through(proxy, monkeypatch, tmp_path)
            one = OperatorProcess(proxy.kubeconfig(tmp_path), namespace, tmp_path / "log")
            await one.start()
            assert await one.wait(60) == 1
            (line,) = [line for line in one.log().splitlines() if "may not" in line]
            assert f"get/list/watch/patch brokers.umbel.dev in {namespace}" in line
            assert "rbac.create=true" in line
            assert "Traceback" not in one.log()

    with_api_server(use)


def test_rights_that_are_taken_away_are_said_and_their_return_is_noticed(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Given an operator that may not write Deployments any more, then the pool's condition says so, and nothing else stops."""

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            through(proxy, monkeypatch, tmp_path)
            async with operator(api, namespace):
                proxy.fault = lambda seen: Fault(403) if seen.writes and "/deployments" in seen.path else None
                await filled(api, namespace)

                async def refused() -> bool | None:
                    found = await condition(api, WORKERPOOLS, namespace, "mail", "Progressing")
                    return (found is not None and "injected" in found["message"]) or None

                await until("the condition to say so", refused, 20)
                await until("the Service all the same", lambda: api.get(SERVICES, namespace, "default-beat"), 20)
                proxy.fault = lambda seen: None
                await deployed(api, namespace, "mail", 90)

    with_api_server(use)


def test_a_namespace_that_goes_is_never_held_up(with_api_server: WithServer) -> None:
    """Given a Broker in use and a queue that waits for its tasks, when the namespace is deleted, then no finalizer holds
    what the namespace's controller deletes, in whatever order it does."""

    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace) as app:
            await filled(api, namespace)
            for policy in ("WaitUntilEmpty", "Purge"):
                await api.create(queue(policy.lower(), namespace, deletionPolicy=policy))

            async def bears(kind: Any, name: str, finalizer: str) -> bool | None:
                live = await api.get(kind, namespace, name) or {"metadata": {}}
                return finalizer in live["metadata"].get("finalizers", ()) or None

            await until("the Broker's finalizer", lambda: bears(BROKERS, "default", "umbel.dev/in-use"))
            for policy in ("waituntilempty", "purge"):
                await until("a queue's finalizer", lambda p=policy: bears(TASKQUEUES, p, "umbel.dev/queue"))  # type: ignore[misc]
            await api.delete(NAMESPACES, None, namespace)
            for kind, name in ((BROKERS, "default"), (TASKQUEUES, "purge"), (TASKQUEUES, "waituntilempty")):
                await api.delete(kind, namespace, name)

                async def gone(k: Any = kind, n: str = name) -> bool | None:
                    return await api.get(k, namespace, n) is None or None

                await until(f"{name} to go", gone, 15)
            crashed = [
                s for m in app.metrics.reconciles.collect() for s in m.samples if s.labels.get("result") == "crashed"
            ]
            assert crashed == []

    with_api_server(use)


def test_a_kill_at_any_moment_leaves_nothing_half_done(
    with_api_server: WithServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Given an operator that is killed in the middle of its writes, again and again, then the next one finishes them."""
    rng = random.Random(11)

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            one = OperatorProcess(through(proxy, monkeypatch, tmp_path), namespace, tmp_path / "log")
            await api.create(broker(namespace))
            names: list[str] = []
            try:
                for life in range(6):
                    for n in range(4):
                        names.append(f"q{life}-{n}")
                        await ordered(api, namespace, names[-1])
                        await api.create(schedule(names[-1], names[-1], namespace))
                    if life > 1:
                        await api.delete(WORKERPOOLS, namespace, names[0])
                        await api.delete(SCHEDULES, namespace, names[0])
                        await api.delete(TASKQUEUES, namespace, names.pop(0))
                    last, wanted = len(proxy.writes()), rng.randrange(1, 25)
                    await one.start()
                    await until("some writes", lambda w=last + wanted: when(len(proxy.writes()) >= w), 60)  # type: ignore[misc]
                    await one.kill()
                await one.start()
                await settled(api, namespace, names, 90)
                for name in names:
                    found = await condition(api, WORKERPOOLS, namespace, name, "Progressing")
                    assert found is not None
                    assert found["reason"] in ("RolloutInProgress", "RolloutComplete"), found
            finally:
                await one.kill()
            assert "Traceback" not in one.log()

    with_api_server(use)
