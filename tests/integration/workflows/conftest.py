"""A worker that runs workflows, and an app that sends them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker

from umbel import Umbel


@pytest.fixture
def app(
    redis_server: RedisServer, prefix: str, producer: Callable[..., Umbel], start_worker: Callable[..., Worker]
) -> Umbel:
    """An app beside a worker of `tests.workflow_app`."""
    start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready()
    return producer(redis_server)
