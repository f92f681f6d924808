"""What all processes of a worker need is imported before the first of them is forked: each import later is paid for by each."""

from __future__ import annotations

from collections.abc import Callable

from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel


def test_nothing_is_imported_after_the_start(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    worker = start_worker(redis_server, prefix, environment={"PYTHONPROFILEIMPORTTIME": "1"}).wait_ready()
    app = producer(redis_server)
    for number in range(20):
        app.send_task("tests.sample_app.work", (number,))
    until(lambda: len(runs(worker.ledger)) == 20, "the tasks have run")

    before, started, after = worker.log.read_text().partition('"worker.started"')
    assert "import time:" in before
    assert started
    late = [line.rpartition("|")[2].strip() for line in after.splitlines() if line.startswith("import time:")]

    assert [name for name in late if name.startswith(("umbel", "encodings"))] == []
