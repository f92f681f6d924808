"""Workers whose results are kept elsewhere than in their broker: in a database, in another Redis, or nowhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import sample_app
from tests.databases import Database, is_there
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import ImproperlyConfigured, ResultsDisabled, TimeLimitExceeded, TimeoutError
from umbel.worker.resultkeeping import told_of_results

Start = Callable[..., Worker]


@pytest.fixture
def make_app(redis_server: RedisServer, prefix: str) -> Iterator[Callable[[str], Umbel]]:
    """Make producers' apps with a result backend."""
    made: list[Umbel] = []

    def make(backend: str) -> Umbel:
        app = Umbel(
            "sample",
            broker=redis_server.url,
            backend=backend,
            key_prefix=prefix,
            result_expires=600,
            set_as_current=False,
        )
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()
    with redis_server.client() as client:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)


def test_results_in_a_database(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    url = f"db+sqlite:///{tmp_path}/results.db"
    app = make_app(url)
    worker = start_worker(redis_server, prefix, environment={"UMBEL_RESULT_BACKEND": url}).wait_ready()
    add = sample_app.add.name
    with app.batch():
        many = [app.send_task(add, (number, 1)) for number in range(50)]
    assert app.ResultSet(many).get(timeout=60) == list(range(1, 51))
    bad = app.send_task(sample_app.add.name, (1, "x"))
    with pytest.raises(TypeError):
        bad.get(timeout=60)
    long = app.send_task(sample_app.work.name, (1, 60.0), time_limit=0.5)
    with pytest.raises(TimeLimitExceeded):
        long.get(timeout=60)
    with redis_server.client() as client:
        assert not [key for key in client.scan_iter(f"{prefix}:*") if key.endswith(b":res")]
    assert worker.stop() == 0


def test_results_in_another_redis(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str
) -> None:
    url = redis_server.url.removesuffix("/0") + "/1"
    app = make_app(url)
    start_worker(redis_server, prefix, environment={"UMBEL_RESULT_BACKEND": url}).wait_ready()
    assert app.send_task(sample_app.add.name, (1, 2)).get(timeout=60) == 3
    assert app.send_task(sample_app.add.name, (2, 2)).get(timeout=60) == 4
    again = make_app(url)
    assert again.AsyncResult(app.send_task(sample_app.add.name, (3, 2)).id).get(timeout=60) == 5
    assert make_app(redis_server.url).AsyncResult(again.AsyncResult("x").id).state == "PENDING"


def test_no_results(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str
) -> None:
    app = make_app("disabled")
    worker = start_worker(redis_server, prefix, environment={"UMBEL_RESULT_BACKEND": "disabled"}).wait_ready()
    result = app.send_task(sample_app.work.name, (7,))
    until(lambda: worker.ledger.exists() and "ran 7" in worker.ledger.read_text(), "the task has run")
    with pytest.raises(ResultsDisabled, match="the setting result_backend is 'disabled'"):
        result.get(timeout=1)
    with pytest.raises(NotImplementedError):
        _ = result.state
    assert worker.stop() == 0
    with redis_server.client() as client:
        assert not [key for key in client.scan_iter(f"{prefix}:*") if b":res" in key]


@pytest.mark.skipif(not is_there("postgresql"), reason="no postgresql on PATH")
def test_while_the_database_is_away_nothing_is_acknowledged_and_nothing_lost(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str
) -> None:
    database = Database("postgresql")
    try:
        database.start()
        app = make_app(database.url)
        worker = start_worker(redis_server, prefix, environment={"UMBEL_RESULT_BACKEND": database.url}).wait_ready()
        assert app.send_task(sample_app.work.name, (0,)).get(timeout=60) == 0
        database.stop()
        results = [app.send_task(sample_app.work.name, (number,)) for number in range(1, 5)]
        until(lambda: "ran 1" in worker.ledger.read_text(), "a task has run")
        until(lambda: worker.events("results.away"), "the worker knows that its result is not stored")
        assert app.broker.info("default").in_flight
        database.start()
        assert app.ResultSet(results).get(timeout=60) == [1, 2, 3, 4]
        # What was not acknowledged was not run again: its outcome was kept, and reported.
        assert sorted(worker.ledger.read_text().split("\n")[:-1]) == [f"ran {number}" for number in range(5)]
    finally:
        database.remove()


def test_a_worker_that_dies_between_result_and_acknowledgement_runs_the_task_again(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    url = f"db+sqlite:///{tmp_path}/results.db"
    app = make_app(url)
    dies = tmp_path / "dies"
    dies.touch()
    worker = start_worker(
        redis_server,
        prefix,
        app="tests.integration.results.dying_app:app",
        concurrency=1,
        environment={"UMBEL_RESULT_BACKEND": url, "DIES_ONCE": str(dies)},
    ).wait_ready()
    result = app.send_task("who")
    assert isinstance(result.get(timeout=60), int)
    until(lambda: not dies.exists(), "the child died after it had stored the result")
    died = int((tmp_path / "died").read_text())
    until(lambda: app.AsyncResult(result.id).get(timeout=10) != died, "it ran again, in another child", 60)
    assert worker.probe("livez")[0] == 200


def test_functions_in_settings_of_a_database_are_called_in_supervisors_too(
    make_app: Callable[[str], Umbel], start_worker: Start, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    url, called = f"db+sqlite:///{tmp_path}/results.db", tmp_path / "called"
    app = make_app(url)
    worker = start_worker(
        redis_server,
        prefix,
        app="tests.integration.results.called_app:app",
        environment={"UMBEL_RESULT_BACKEND": url, "CALLED": str(called)},
    ).wait_ready()
    with pytest.raises(TimeLimitExceeded):  # which the supervisor stores
        app.send_task("sleep", (60,), time_limit=0.5).get(timeout=60)
    assert f"{worker.pid} NullPool" in called.read_text().splitlines()


def test_what_a_supervisor_cannot_import_is_refused_at_the_start(tmp_path: Path) -> None:
    app = Umbel("sample", broker="redis://h", backend=f"db+sqlite:///{tmp_path}/r.db", set_as_current=False)
    app.conf.database_engine_callback = lambda engine: None
    with pytest.raises(ImproperlyConfigured, match="the setting database_engine_callback holds"):
        told_of_results(app)
    app.conf.update(database_engine_callback=None, database_engine_options={"connect_args": {"ssl": object()}})
    with pytest.raises(ImproperlyConfigured, match="database_engine_options holds"):
        told_of_results(app)
    app.conf.result_backend = None
    assert told_of_results(app) == {"results_url": "redis://h", "database": {}}


def test_threads_wait_on_a_database(make_app: Callable[[str], Umbel], tmp_path: Path) -> None:
    app = make_app(f"db+sqlite:///{tmp_path}/results.db")
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: got.append(app.AsyncResult(str(number)).get(timeout=60)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    from umbel.record import Record

    for number in range(8):
        app.results.store(str(number), Record("SUCCESS", str(number).encode()), 60.0)
    for thread in threads:
        thread.join(60)
    assert sorted(got) == list(range(8))
    with pytest.raises(TimeoutError):
        app.AsyncResult("never").get(timeout=0.05)
