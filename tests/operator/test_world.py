"""What the operator remembers of resources, and forgets with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.operator.resources import SETTINGS, broker, metadata, queue

from umbel_operator.build.config import build_config_maps, next_index, render_shards
from umbel_operator.build.entries import broker_entries
from umbel_operator.kube.resources import CHILDREN, OWN, PODS
from umbel_operator.plan.model import State
from umbel_operator.runtime.beatclient import ServiceRoute
from umbel_operator.runtime.beatpoller import BeatPoller
from umbel_operator.runtime.cache import Cache
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.routes import index_terms
from umbel_operator.runtime.views import Views
from umbel_operator.runtime.world import World

BROKER = {
    "apiVersion": "umbel.dev/v1alpha1",
    "kind": "Broker",
    "metadata": metadata("default"),
    "spec": {"connection": {"addresses": ["redis:6379"]}},
}
QUEUE = {"apiVersion": "umbel.dev/v1alpha1", "kind": "TaskQueue", "metadata": metadata("mail"), "spec": {}}


def test_nothing_is_remembered_of_a_namespace_that_is_empty_again() -> None:
    asyncio.run(_come_and_go())


async def _come_and_go() -> None:
    cache, views = Cache((*OWN, *CHILDREN, PODS), index=index_terms), Views()
    route = ServiceRoute()
    world = World(cache, views, BeatPoller(route, lambda *_: None, Metrics("1")), SETTINGS)
    shards = render_shards(broker_entries("default", {"mail": queue()}, {}, {}))
    index = next_index(shards, "uid-default", None, int(datetime.now(UTC).timestamp()))
    objects: list[dict[str, Any]] = [BROKER, QUEUE]
    for made in build_config_maps(broker(), shards, index):
        objects.append(
            {**made, "metadata": {**made["metadata"], "uid": made["metadata"]["name"], "resourceVersion": "9"}}
        )
    for obj in objects:
        change = cache.apply("ADDED", obj)
        assert change is not None
        views.take(change)
    found = world.state(Key("TaskQueue", "shop", "mail"))
    assert isinstance(found, State)
    assert found.rendered is not None
    assert found.rendered.serial == index.serial
    for obj in objects:
        change = cache.apply("DELETED", obj)
        assert change is not None
        views.take(change)
    world.forget(Key("Broker", "shop", "default"))
    assert (views._namespaces, world._rendered) == ({}, {})
    await route.close()
