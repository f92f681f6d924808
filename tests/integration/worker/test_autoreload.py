"""A worker that takes up what its developer has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT, until

from umbel import Umbel

CODE = """
from umbel import Umbel
app = Umbel("dev", broker={url!r}, key_prefix={prefix!r})

@app.task(name="version")
def version():
    return {version}
"""


@pytest.fixture
def worker(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    _write(redis_server, prefix, tmp_path, "1")
    command = [sys.executable, "-m", "umbel", "-A", "dev", "worker", "--concurrency", "1", "--autoreload"]
    paths = os.pathsep.join([str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "UMBEL_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait(10)


def _write(server: RedisServer, prefix: str, folder: Path, version: str) -> None:
    """Change the code in one step: half a file is another change."""
    half = folder / "half"
    half.write_text(CODE.format(url=server.url, prefix=prefix, version=version))
    half.rename(folder / "dev.py")


def test_changed_code_runs_and_broken_code_does_not(
    worker: subprocess.Popen[bytes],
    redis_server: RedisServer,
    prefix: str,
    tmp_path: Path,
    producer: Callable[..., Umbel],
) -> None:
    app = producer(redis_server)

    def version() -> int:
        return int(app.send_task("version").get(timeout=30))

    log = tmp_path / "log"
    assert version() == 1
    # When the code changes, the new code runs
    _write(redis_server, prefix, tmp_path, "2")
    until(lambda: version() == 2, "the new code runs")
    # When it breaks, the last good one works on
    _write(redis_server, prefix, tmp_path, "(")
    until(lambda: "zygote.failed" in log.read_text(), "it cannot be imported")
    assert version() == 2
    # And once it is mended, it runs
    _write(redis_server, prefix, tmp_path, "30")
    until(lambda: version() == 30, "the mended code runs")
    assert "child.died" not in log.read_text()
    worker.terminate()
    assert worker.wait(30) == 0
