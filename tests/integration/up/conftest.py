"""Fixtures of the tests of `umbel up`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.up.running import POOL, QUEUE, TASKS, RunningUp


@pytest.fixture
def up(tmp_path: Path) -> Iterator[RunningUp]:
    """An `umbel up` with a queue and a pool of one worker, not started yet."""
    running = RunningUp(tmp_path)
    running.write(queue=QUEUE, pool=POOL, tasks=TASKS)
    yield running
    running.end()
