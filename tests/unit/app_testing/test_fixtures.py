"""The plugin for pytest, used as a project uses it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT

from umbel import Umbel
from umbel.testing import InMemoryWorker, ManualBeat, ManualClock, manual_time, sent

APP = """
from umbel import Umbel, crontab

app = Umbel("shop", broker="redis://nowhere.invalid", task_time_limit=30)
app.conf.beat_schedule = {
    "often": {"task": "shop.add", "schedule": 60.0, "args": (1, 1)},
    "daily": {"task": "shop.add", "schedule": crontab(hour=0, minute=0), "args": (2, 2), "options": {"queue": "night"}},
}

@app.task
def add(x, y):
    return x + y

@app.task
def twice(x):
    add.delay(x, x)
    add.apply_async((x, x), countdown=60, queue="late", priority=9)

@app.task(bind=True, max_retries=2, default_retry_delay=100)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry()
    return "at last"
"""

TESTS = """
import pytest
from shop import add, app, flaky, twice
from umbel import current_app
from umbel.testing import InMemoryWorker


def test_the_app_is_the_one_that_is_named(umbel_app):
    assert umbel_app is app
    assert current_app == app


def test_a_worker_runs(umbel_worker):
    assert add.delay(2, 3).get(timeout=20) == 5


def test_nothing_is_left_of_other_tests(umbel_app):
    assert InMemoryWorker(umbel_app).run() == 0
    add.delay(1, 1)


test_nothing_is_left_again = test_nothing_is_left_of_other_tests


def test_what_was_sent(umbel_sent):
    twice(4)
    umbel_sent.assert_sent(add, (4, 4), queue="late", countdown=60, priority=9, times=1)
    assert len(umbel_sent) == 2


@pytest.mark.umbel(task_always_eager=True, task_time_limit=3)
def test_settings_of_one_test(umbel_app):
    assert umbel_app.conf.task_time_limit == 3
    assert add.delay(2, 3).get() == 5


def test_settings_are_as_before(umbel_app):
    assert umbel_app.conf.task_time_limit == 30


@pytest.mark.memory_only
def test_time_that_the_test_moves(umbel_app, umbel_clock):
    result = flaky.delay()
    worker = InMemoryWorker(umbel_app)
    assert [worker.run(), worker.run()] == [1, 0]
    umbel_clock.advance(100)
    assert worker.run() == 1
    umbel_clock.advance(100)
    assert worker.run() == 1
    assert result.get(timeout=20) == "at last"


@pytest.mark.memory_only
def test_periodic_tasks(umbel_beat, umbel_sent):
    assert len(umbel_beat.advance(24 * 3600)) == 24 * 60 + 1
    umbel_sent.assert_sent(add, (2, 2), queue="night", times=1)
"""

CELERY_TESTS = """
from shop import add, app
import pytest

@pytest.fixture
def celery_config():
    return {"task_time_limit": 7}

def test_celerys_names(celery_app, celery_worker):
    assert celery_app is app
    assert celery_app.conf.task_time_limit == 7
    assert add.delay(2, 3).get(timeout=20) == 5
"""


def run(folder: Path, conftest: str, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.py").write_text(APP)
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_shop.py").write_text(tests)
    (folder / "pytest.ini").write_text(
        "[pytest]\numbel_app = shop:app\npythonpath = .\nmarkers = memory_only: wants a clock\nfilterwarnings = error\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {"PYTHONPATH": f"{ROOT / 'runtime'}:{':'.join(sys.path)}", "PATH": ""}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, timeout=100, check=False
    )


def test_the_plugin_in_memory(tmp_path: Path) -> None:
    done = run(tmp_path, 'pytest_plugins = ["umbel.testing.plugin"]', TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


def test_the_plugin_with_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    conftest = f"""
import pytest
pytest_plugins = ["umbel.testing.plugin"]

@pytest.fixture
def umbel_broker_url():
    return {redis_server.url!r}
"""
    done = run(tmp_path, conftest, TESTS, "-m", "not memory_only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_the_plugin_with_celerys_names(tmp_path: Path) -> None:
    done = run(tmp_path, 'pytest_plugins = ["umbel.testing.celerynames"]', CELERY_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


# Without pytest's fixtures


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("tested", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def test_calls_that_were_sent_are_compared(app: Umbel) -> None:
    @app.task(name="mail")
    def mail(to: str, *, subject: str = "") -> None: ...

    with sent(app) as calls:
        calls.assert_nothing_sent()
        mail.delay("ada", subject="hi")
        with app.batch():
            mail.delay("bob")
        app.send_task("other", (1,), headers={"a": 1}, countdown=5)
    mail.delay("unseen")
    assert [call.task for call in calls] == ["mail", "mail", "other"]
    assert calls.assert_sent("other", countdown=5, headers={"a": 1}) is calls[2]
    calls.assert_sent(mail, times=2)
    calls.assert_sent(mail, ("ada",), {"subject": "hi"}, times=1)
    calls.assert_not_sent("nobody")
    for wrong in (
        lambda: calls.assert_sent(mail, ("eve",)),
        lambda: calls.assert_sent(mail, ("ada",)),  # it had a subject
        lambda: calls.assert_not_sent(mail),
        calls.assert_nothing_sent,
        lambda: calls.assert_sent(mail, queue="slow"),
    ):
        with pytest.raises(AssertionError, match=r"mail\('ada', subject='hi'\) to 'default', priority 5"):
            wrong()
    with pytest.raises(TypeError, match="has no 'qeue' to compare"):
        calls.assert_sent(mail, qeue="slow")


def test_time_stands_still_until_it_is_moved(app: Umbel) -> None:
    @app.task(name="late")
    def late() -> str:
        return "ran"

    with manual_time(app) as clock:
        result, expired = late.apply_async(countdown=3600), late.apply_async(countdown=7200, expires=3600)
        worker = InMemoryWorker(app)
        assert worker.run() == 0
        clock.advance(3601)
        assert worker.run() == 1
        assert result.get(timeout=20) == "ran"
        clock.advance(3600)
        assert worker.run() == 1
        assert expired.state == "REVOKED"


def test_only_memory_goes_by_a_manual_clock(redis_server: RedisServer, prefix: str) -> None:
    app = Umbel("real", broker=redis_server.url, key_prefix=prefix, set_as_current=False)
    with app, pytest.raises(TypeError, match="only a broker in memory"), manual_time(app):
        pass


def test_a_beat_sends_each_slot_in_order(app: Umbel) -> None:
    seen: list[Any] = []

    @app.task(name="note")
    def note(what: str) -> None:
        seen.append(what)

    app.add_periodic_task(40.0, note, ("slow",))
    app.add_periodic_task(30.0, note, ("fast",))
    with manual_time(app, ManualClock(1_200_000_000.0)) as clock:
        beat = ManualBeat(app, clock)
        assert len(beat.advance(29)) == 0
        assert len(beat.advance(31)) == 3
        InMemoryWorker(app).run()
        assert seen == ["fast", "slow", "fast"]
        assert clock.time() == 1_200_000_060.0
