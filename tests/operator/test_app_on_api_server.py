"""The whole operator, kopf included, against a real API server; no pod runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.living import condition, filled, operator, queue, schedule, until, when

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import (
    BROKERS,
    CONFIGMAPS,
    DEPLOYMENTS,
    SCHEDULES,
    SERVICES,
    TASKQUEUES,
    WORKERPOOLS,
    Resource,
)
from umbel_operator.runtime.app import App

WithServer = Callable[[Any], None]


def writes(app: App) -> float:
    """Count the writes so far."""
    samples = (sample for metric in app.metrics.requests.collect() for sample in metric.samples)
    return sum(
        s.value
        for s in samples
        if s.name.endswith("_total")
        and s.labels["verb"] in ("post", "patch", "delete")
        and s.labels["resource"] != "services/proxy"
    )


async def quiet(app: App, seconds: float) -> bool | None:
    """Tell whether nothing is written for a while."""
    before = writes(app)
    await asyncio.sleep(seconds)
    return writes(app) == before or None


def test_all_kinds_are_reconciled_and_then_nothing_more_is_written(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace) as app:
            await filled(api, namespace)
            await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"))
            await until("beat", lambda: api.get(DEPLOYMENTS, namespace, "default-beat"))
            await until("the index", lambda: api.get(CONFIGMAPS, namespace, "default-config-index"))
            for resource_, name in ((BROKERS, "default"), (TASKQUEUES, "mail"), (SCHEDULES, "nightly")):
                await until(f"Ready on {name}", lambda r=resource_, n=name: condition(api, r, namespace, n, "Ready"))  # type: ignore[misc]
            await until("no write for three seconds", lambda: quiet(app, 3.0), 40)

    with_api_server(use)


def test_children_that_are_edited_or_deleted_are_repaired_in_seconds(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace):
            await filled(api, namespace)
            await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"))
            for child, name in (
                (DEPLOYMENTS, "mail-worker"),
                (SERVICES, "default-beat"),
                (CONFIGMAPS, "default-client"),
            ):
                live = await until(f"{name}", lambda c=child, n=name: api.get(c, namespace, n))  # type: ignore[misc]
                await api.delete(child, namespace, name)

                async def back(c: Resource = child, n: str = name, uid: str = live["metadata"]["uid"]) -> Json | None:
                    now = await api.get(c, namespace, n)
                    return now if now is not None and now["metadata"]["uid"] != uid else None

                await until(f"another {name}", back, 5)
            await api.merge_patch(DEPLOYMENTS, namespace, "mail-worker", {"spec": {"replicas": 7}})

            async def undone() -> bool | None:
                live = await api.get(DEPLOYMENTS, namespace, "mail-worker")
                return (live is not None and live["spec"]["replicas"] == 1) or None

            await until("one replica again", undone, 5)

    with_api_server(use)


def test_a_burst_of_schedules_is_rendered_in_few_writes(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace) as app:
            await filled(api, namespace)
            await until("no write for two seconds", lambda: quiet(app, 2.0), 40)
            index = await api.get(CONFIGMAPS, namespace, "default-config-index")
            assert index is not None
            for n in range(60):
                await api.create(schedule(f"s{n}", "mail", namespace))

            async def all_in() -> Json | None:
                live = await api.get(BROKERS, namespace, "default")
                return live if live and live["status"].get("schedules") == 61 else None

            await until("all in the Broker's status", all_in, 30)
            await until("no write for two seconds", lambda: quiet(app, 2.0), 60)
            rendered = await api.get(CONFIGMAPS, namespace, "default-config-000")
            assert rendered is not None
            assert len(json.loads(rendered["data"]["shard-000.json"])["schedules"]) == 61
            samples = [s for m in app.metrics.requests.collect() for s in m.samples if s.name.endswith("_total")]
            config = sum(
                s.value for s in samples if s.labels["resource"] == "configmaps" and s.labels["verb"] == "patch"
            )
            assert config <= 12

    with_api_server(use)


def test_a_broker_goes_only_after_those_that_refer_to_it(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace):
            await filled(api, namespace)

            async def held() -> bool | None:
                live = await api.get(BROKERS, namespace, "default")
                return ("umbel.dev/in-use" in (live or {})["metadata"].get("finalizers", ())) or None

            await until("the finalizer", held)
            await api.delete(BROKERS, namespace, "default")

            async def says_in_use() -> bool | None:
                found = await condition(api, BROKERS, namespace, "default", "Ready")
                return (found is not None and found["reason"] == "InUse") or None

            await until("InUse", says_in_use)
            await api.delete(WORKERPOOLS, namespace, "mail")
            await api.delete(TASKQUEUES, namespace, "mail")

            async def gone() -> bool | None:
                return await api.get(BROKERS, namespace, "default") is None or None

            await until("the Broker to go", gone)

    with_api_server(use)


def test_an_event_that_cannot_be_taken_in_is_counted_and_answered_with_a_list(
    with_api_server: WithServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace) as app:
            await api.create(queue("mail", namespace))
            await until("the queue", lambda: when(app.cache.get(TASKQUEUES, namespace, "mail") is not None))
            live = app.cache.get(TASKQUEUES, namespace, "mail")
            assert live is not None
            app.cache.drop(live)
            app.observe("MODIFIED", {"kind": "TaskQueue", "apiVersion": "umbel.dev/v1alpha1"})
            await until("a list", lambda: when(app.cache.get(TASKQUEUES, namespace, "mail") is not None))
            counted = app.metrics.observe_errors.labels("TaskQueue")._value.get()
            assert counted == 1
        assert "event_not_taken_in" in caplog.text

    with_api_server(use)


def test_an_operator_that_starts_anew_writes_nothing_where_nothing_changed(with_api_server: WithServer) -> None:
    """Given everything as one operator left it, when another starts, then it writes nothing; what was edited, it repairs."""

    async def use(api: Api, namespace: str) -> None:
        async with operator(api, namespace) as app:
            await filled(api, namespace)
            await until("the index", lambda: api.get(CONFIGMAPS, namespace, "default-config-index"))
            await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"))
            await until("no write for four seconds", lambda: quiet(app, 4.0), 60)
        before = await api.get(DEPLOYMENTS, namespace, "mail-worker")
        async with operator(api, namespace) as app:
            await until("a look at every kind", lambda: looked(app), 30)
            await until("no write for three seconds", lambda: quiet(app, 3.0), 30)
            assert children_written(app) == 0
        assert await api.get(DEPLOYMENTS, namespace, "mail-worker") == before
        await api.merge_patch(DEPLOYMENTS, namespace, "mail-worker", {"spec": {"replicas": 7}})
        async with operator(api, namespace):

            async def undone() -> bool | None:
                live = await api.get(DEPLOYMENTS, namespace, "mail-worker")
                return (live is not None and live["spec"]["replicas"] == 1) or None

            await until("one replica again", undone)

    with_api_server(use)


async def looked(app: App) -> bool | None:
    samples = [s for m in app.metrics.reconciles.collect() for s in m.samples if s.name.endswith("_total")]
    return {s.labels["kind"] for s in samples} >= {"Broker", "TaskQueue", "WorkerPool", "Schedule"} or None


def children_written(app: App) -> float:
    """Count the writes of anything but statuses and events."""
    samples = [s for m in app.metrics.requests.collect() for s in m.samples if s.name.endswith("_total")]
    others = ("services/proxy", "events", "selfsubjectaccessreviews")
    return sum(
        s.value
        for s in samples
        if s.labels["verb"] in ("post", "patch", "delete", "create")
        and s.labels["resource"] not in others
        and not s.labels["resource"].endswith("/status")
    )
