"""Fixtures of the tests in which processes die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.chaos.workflow_fleet import Fleet
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, until

from umbel import Umbel


@pytest.fixture
def beat(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[BeatProcess]:
    """A beat without schedules, as an operator starts one."""
    (tmp_path / "config").mkdir()
    beat = BeatProcess(redis_server, prefix, tmp_path / "beat.log", "--config-dir", str(tmp_path / "config"), cwd=ROOT)
    until(lambda: beat.get("/livez")[0] == 200, "beat is there")
    yield beat
    beat.end()


@pytest.fixture
def fleet(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> Fleet:
    """Workers to be that run workflows, on a single server; nothing is kept of what has ended."""
    return Fleet(redis_server, prefix, start_worker, producer(redis_server, workflow_kept=0))


@pytest.fixture(params=["redis_server", "redis_cluster"])
def any_fleet(
    request: pytest.FixtureRequest,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
) -> Fleet:
    """As `fleet`; on a Redis Cluster too."""
    server = request.getfixturevalue(request.param)
    return Fleet(server, prefix, start_worker, producer(server, workflow_kept=0))
