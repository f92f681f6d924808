"""The signals of real workers: each is sent, in the process that the reference says, in Celery's order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import TaskRevokedError, TimeLimitExceeded

APP = "tests.signals_app:app"
NAMES = (
    "import_modules",
    "celeryd_init",
    "celeryd_after_setup",
    "after_setup_logger",
    "after_setup_task_logger",
    "worker_init",
    "worker_before_create_process",
    "worker_process_init",
    "worker_ready",
    "heartbeat_sent",
    "task_received",
    "task_prerun",
    "task_success",
    "task_failure",
    "task_postrun",
    "task_revoked",
    "worker_shutting_down",
    "worker_process_shutdown",
    "worker_shutdown",
)
CONNECTED = {"CONNECTED": ",".join(NAMES)}


def pids(ledger: Path, name: str) -> list[str]:
    """Return the processes in which a signal was heard."""
    return [line.split(" ", 1)[0] for line in runs(ledger, name)]


def test_all_signals_of_a_worker(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    worker = start_worker(redis_server, prefix, app=APP, concurrency=1, environment=CONNECTED).wait_ready()
    ledger, app = worker.ledger, producer(redis_server)
    until(lambda: runs(ledger, "worker_ready"), "the steward has heard that the worker is ready")

    # What a receiver of celeryd_init sets holds in the children.
    assert app.send_task("tests.signals_app.soft_limit").get(timeout=20) == 33
    # The supervisor kills what runs too long, and another child tells.
    with pytest.raises(TimeLimitExceeded):
        app.send_task("tests.signals_app.too_long").get(timeout=20)
    until(lambda: runs(ledger, "task_failure"), "a task that its time limit ended has failed")
    terminated = app.send_task("tests.signals_app.endless")
    until(lambda: f"{terminated.id}" in "".join(runs(ledger, "runs")), "it runs")
    app.control.revoke(terminated.id, terminate=True)
    with pytest.raises(TaskRevokedError):
        terminated.get(timeout=20)
    until(lambda: "'terminated': True" in "".join(runs(ledger, "task_revoked")), "the steward has heard of it")
    assert worker.stop() == 0

    missing = [name for name in NAMES if not runs(ledger, name)]
    assert not missing
    steward = set(pids(ledger, "worker_ready"))
    assert len(steward) == 1
    for name in ("worker_shutting_down", "worker_shutdown", "heartbeat_sent", "task_revoked"):
        assert set(pids(ledger, name)) == steward, name
    assert "'sig': 'SIGTERM'" in runs(ledger, "worker_shutting_down")[0]
    assert "'how': 'Warm'" in runs(ledger, "worker_shutting_down")[0]
    zygote = set(pids(ledger, "worker_init"))
    assert len(zygote) == 1
    assert set(pids(ledger, "worker_before_create_process")) == zygote
    assert set(pids(ledger, "task_prerun")) <= set(pids(ledger, "worker_process_init"))
    assert str(worker.pid) not in zygote | steward
    words = [line.split(" ", 1)[0] for line in ledger.read_text().splitlines()]
    order = [words.index(name) for name in NAMES[:8]]
    assert order == sorted(order)
    assert words[-1] == "worker_shutdown"


def test_a_worker_that_is_one_process(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    worker = start_worker(
        redis_server, prefix, "--pool", "solo", app=APP, concurrency=1, environment=CONNECTED
    ).wait_ready()
    ledger = worker.ledger
    until(lambda: runs(ledger, "worker_ready"), "the worker has said that it is ready")
    assert producer(redis_server).send_task("tests.signals_app.soft_limit").get(timeout=20) == 33
    assert worker.stop() == 0
    names = ("worker_init", "worker_ready", "task_success", "worker_shutting_down", "worker_shutdown")
    assert {pid for name in names for pid in pids(ledger, name)} == {str(worker.pid)}


def test_who_sets_logging_up_does_it_alone(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    (tmp_path / "logging_app.py").write_text(
        "import logging, sys\n"
        "from umbel import Umbel, signals\n"
        "app = Umbel('logging')\n"
        "@signals.setup_logging.connect\n"
        "def set_up(loglevel, **got):\n"
        "    assert not logging.getLogger().handlers\n"
        "    logging.basicConfig(level=loglevel, format='MINE %(message)s', stream=sys.stderr)\n"
        "@signals.worker_process_init.connect\n"
        "def say(**got):\n"
        "    logging.getLogger('any').info('a child says this')\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    worker = start_worker(redis_server, prefix, app="logging_app:app", environment=environment).wait_ready()
    assert "MINE a child says this" in worker.log.read_text()
    assert worker.stop() == 0


def test_without_receivers_there_is_no_steward(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    assert len(worker.children()) == 2  # the zygote and the child
