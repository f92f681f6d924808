"""Fixtures of the tests in which processes die."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer
from tests.workers import ROOT, until


@pytest.fixture
def beat(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[BeatProcess]:
    """A beat without schedules, as an operator starts one."""
    (tmp_path / "config").mkdir()
    beat = BeatProcess(redis_server, prefix, tmp_path / "beat.log", "--config-dir", str(tmp_path / "config"), cwd=ROOT)
    until(lambda: beat.get("/livez")[0] == 200, "beat is there")
    yield beat
    beat.end()
