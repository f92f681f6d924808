"""Fixtures for all tests: a real Redis, and a key prefix for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that leave it running."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A running server that the test does not stop."""
    return shared_redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of the test's own, with an append-only file, to be stopped, killed and started at will."""
    server = RedisServer(persistent=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not see the UMBEL_* variables of the shell they run in."""
    for name in [name for name in os.environ if name.startswith("UMBEL_") and not name.endswith("_IMAGE")]:
        monkeypatch.delenv(name)
