"""An app may hold thousands of tasks, or fail to import with a long story: the supervisor gets to know either way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.redis_server import RedisServer
from tests.workers import Worker

Start = Callable[..., Worker]


def test_an_app_of_thousands_of_tasks(
    redis_server: RedisServer, prefix: str, start_worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "large_app.py").write_text(
        "from umbel import Umbel\napp = Umbel('large')\n"
        "for number in range(6000):\n    app.task(name=f'{number:0100}')(lambda: None)\n"
    )
    worker = start_worker(redis_server, prefix, app="large_app:app", environment={"PYTHONPATH": str(tmp_path)})
    worker.wait_ready()
    (started,) = worker.events("worker.started")
    assert started["tasks"] >= 6000
    assert worker.stop() == 0


def test_an_import_that_fails_with_a_long_story(
    redis_server: RedisServer, prefix: str, start_worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "long_story.py").write_text("raise RuntimeError('once upon a time ' + 'x' * 300_000)\n")
    worker = start_worker(redis_server, prefix, app="long_story:app", environment={"PYTHONPATH": str(tmp_path)})
    assert worker.process.wait(40) == 2
    assert "once upon a time" in worker.log.read_text()
