"""What all processes of a worker need is imported before the first of them is forked: each import later is paid for by each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.redis import keys

SPARED = {
    "_hashlib",
    "asyncio",
    "email",
    "http.server",
    "importlib.metadata",
    "prometheus_client",
    "redis",
    "ssl",
    "zipfile",
    "zoneinfo",
}


def test_nothing_is_imported_after_the_start(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    worker = start_worker(redis_server, prefix, environment={"PYTHONPROFILEIMPORTTIME": "1"}).wait_ready()
    app = producer(redis_server)
    for number in range(20):
        app.send_task("tests.sample_app.work", (number,))
    until(lambda: len(runs(worker.ledger)) == 20, "the tasks have run")
    with redis_server.client() as client:
        until(lambda: client.exists(keys.own_turn(prefix)), "it has looked after the queues of those who are gone")

    before, started, after = worker.log.read_text().partition('"worker.started"')
    assert "import time:" in before
    assert started
    late = [line.rpartition("|")[2].strip() for line in after.splitlines() if line.startswith("import time:")]

    assert [name for name in late if name.startswith(("umbel", "encodings"))] == []


def test_a_worker_does_without_what_few_tasks_need() -> None:
    program = (
        "import sys, umbel.cli.main, umbel.cli.worker, umbel.worker.main as main; main.share_with_children(); "
        f"print(*{SPARED} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
