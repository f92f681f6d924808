"""A Node that is deleted: beat hears at once which Pods were on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from tests.operator.living import operator, until, when

from umbel_operator.api.names import LABEL_BROKER
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import MADE_BY_US, NODES, PODS
from umbel_operator.runtime.app import App

WithServer = Callable[[Any], None]


def worker(name: str, namespace: str, node: str) -> Json:
    """Make a Pod that looks like one of a WorkerPool, already on a node: nobody has to schedule it."""
    key, value = MADE_BY_US.split("=")
    meta = {"name": name, "namespace": namespace, "labels": {key: value, LABEL_BROKER: "default"}}
    spec = {"nodeName": node, "containers": [{"name": "worker", "image": "shop:1"}], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def listening(app: App, monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """Note what beat would be told."""
    told: list[Json] = []

    async def tell(broker: tuple[str, str], body: Json) -> None:
        told.append({"broker": broker, **body})

    monkeypatch.setattr(app._goners, "_tell", tell)
    return told


@pytest.mark.parametrize("watch", [True, False], ids=["watched", "not allowed"])
def test_beat_hears_of_the_pods_of_a_node_that_is_deleted(
    with_api_server: WithServer, monkeypatch: pytest.MonkeyPatch, watch: bool
) -> None:
    async def use(api: Api, namespace: str) -> None:
        node = f"umbel-test-{uuid4().hex[:8]}"
        meta = {"name": node, "labels": {"umbel.dev/test": "true"}}
        await api.create({"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"unschedulable": True}})
        try:
            async with operator(api, namespace, watch_nodes=watch) as app:
                told = listening(app, monkeypatch)
                here = await api.create(worker("here", namespace, node))
                await api.create(worker("elsewhere", namespace, f"{node}-other"))
                await until("the pods to be known", lambda: when(app.cache.count(PODS) == 2))
                seen = app.metrics.registry.get_sample_value
                labels = {"kind": "Node"}
                if watch:
                    name = "umbel_operator_last_event_timestamp_seconds"
                    await until("Nodes to be watched", lambda: when(seen(name, labels) is not None))
                await api.delete(NODES, None, node)
                if watch:
                    await until("beat to hear of it", lambda: when(bool(told)))
                else:
                    await asyncio.sleep(1)
                uids = [uid for one in told for uid in one.get("nodeless", ())]
                assert uids == ([here["metadata"]["uid"]] if watch else [])
        finally:
            await api.delete(NODES, None, node)

    with_api_server(use)
