"""Beat processes and their directory, ended and looked through after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.beat.inprocess import Bench
from tests.integration.beat.mounted import MountedConfig
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer

StartBeat = Callable[..., BeatProcess]


@pytest.fixture
def mounted(tmp_path: Path) -> MountedConfig:
    """An empty directory of definitions."""
    return MountedConfig(tmp_path / "config")


@pytest.fixture
def start_beat(tmp_path: Path, prefix: str, mounted: MountedConfig) -> Iterator[StartBeat]:
    """Start a beat on a server; with the directory of definitions unless an app is given."""
    started: list[BeatProcess] = []

    def start(server: RedisServer, *arguments: str, **options: Any) -> BeatProcess:
        if "app" not in options:
            arguments = ("--config-dir", str(mounted.path), *arguments)
        beat = BeatProcess(server, prefix, tmp_path / f"beat-{len(started)}.log", *arguments, **options)
        started.append(beat)
        return beat

    yield start
    for beat in started:
        if beat.process.poll() is None:
            assert beat.end() == 0, beat.text()
        assert "Traceback" not in beat.text(), beat.text()


@pytest.fixture
def bench(redis_server: RedisServer, prefix: str) -> Iterator[Bench]:
    """Beats in this process, on a clock that the test moves."""
    made = Bench(redis_server, prefix)
    yield made
    made.close()
