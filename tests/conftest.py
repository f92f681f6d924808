"""Fixtures for all tests: a real Redis, and a key prefix for each test."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.databases import Database, is_there
from tests.redis_cluster import RedisCluster
from tests.redis_sentinels import SentinelTrio
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker

from umbel import Umbel

#: Shifts the clock of a Python that finds it as its ``sitecustomize``.
SHIFTED = """
import time
_true = time.time
time.time = lambda: _true() + {seconds}
time.time_ns = lambda: int((_true() + {seconds}) * 1e9)
"""


#: A busy machine draws examples slowly, and that is no fault of theirs.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that leave it running."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Six nodes for all tests that leave them running."""
    cluster = RedisCluster(node_timeout=15000)  # nobody is to be taken for dead on a busy machine
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def redis_sentinels() -> Iterator[SentinelTrio]:
    """A master, two replicas and three Sentinels for all tests that leave them running."""
    trio = SentinelTrio()
    trio.start()
    yield trio
    trio.remove()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Database]:
    """One PostgreSQL for all tests that leave it running; without one on PATH they are skipped."""
    yield from _database("postgresql")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Database]:
    """One MariaDB for all tests that leave it running; without one on PATH they are skipped."""
    yield from _database("mariadb")


def _database(kind: str) -> Iterator[Database]:
    if not is_there(kind):
        pytest.skip(f"no {kind} on PATH")
    database = Database(kind)
    database.start()
    yield database
    database.remove()


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


@pytest.fixture(params=[3600, -3600], ids=["an hour ahead", "an hour behind"])
def wrong_clock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Shift the clock of this process, not that of Redis; return the variables that shift that of another Python."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIFTED.format(seconds=request.param))
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + request.param)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers of `tests.sample_app`; all of them are gone after the test."""
    started: list[Worker] = []

    def start(server: RedisServer, prefix: str, *arguments: str, **options: Any) -> Worker:
        worker = Worker(server.url, prefix, tmp_path, *arguments, **options)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.remove()


@pytest.fixture
def producer(prefix: str) -> Iterator[Callable[..., Umbel]]:
    """Make apps that send the tasks of `tests.sample_app` by name."""
    made: list[Umbel] = []

    def make(server: RedisServer, **settings: Any) -> Umbel:
        app = Umbel("producer", broker=server.url, key_prefix=prefix, **settings)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()
