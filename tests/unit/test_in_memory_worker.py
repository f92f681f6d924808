"""The worker for users' tests runs tasks as the real one does, in this process, with and without Redis."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.making import owner, take
from tests.redis_server import RedisServer

from umbel import Task, Umbel, errors
from umbel.testing import InMemoryWorker


@pytest.fixture(params=["memory", "redis"])
def app(request: pytest.FixtureRequest, prefix: str) -> Iterator[Umbel]:
    if request.param == "memory":
        url = f"memory://{uuid.uuid4().hex}"
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    app = Umbel("tested", broker=url, key_prefix=prefix, set_as_current=False)
    yield app
    app.close()


def test_a_sent_task_runs_and_its_result_is_there(app: Umbel) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    result = add.delay(2, 3)
    assert not result.ready()
    assert InMemoryWorker(app).run() == 1
    assert result.get(timeout=20) == 5
    assert InMemoryWorker(app).run() == 0


def test_tasks_that_tasks_send_run_too(app: Umbel) -> None:
    seen: list[int] = []

    @app.task
    def count(n: int) -> None:
        seen.append(n)
        if n:
            count.delay(n - 1)

    count.delay(3)
    assert InMemoryWorker(app).run() == 4
    assert seen == [3, 2, 1, 0]


def test_a_failure_is_raised_to_who_waits(app: Umbel) -> None:
    @app.task
    def fail() -> None:
        raise ValueError("no such order")

    result = fail.delay()
    InMemoryWorker(app).run()
    assert result.failed()
    with pytest.raises(ValueError, match="no such order"):
        result.get(timeout=20)


def test_retries_run_until_they_are_used_up(app: Umbel) -> None:
    tries: list[int] = []

    @app.task(bind=True, max_retries=2, default_retry_delay=0.01)
    def flaky(self: Any) -> None:
        tries.append(self.request.retries)
        raise self.retry(exc=ConnectionError("away"))

    result = flaky.delay()
    InMemoryWorker(app).run(wait=20)
    assert tries == [0, 1, 2]
    with pytest.raises(ConnectionError):
        result.get(timeout=20)


def test_a_retry_does_not_outlive_the_expiry_of_the_call(app: Umbel) -> None:
    tries: list[int] = []

    @app.task(bind=True)
    def slow(self: Any) -> None:
        tries.append(self.request.retries)
        raise self.retry(countdown=2.2)

    result = slow.apply_async(expires=2.0)
    InMemoryWorker(app).run(wait=20)
    assert tries == [0]
    with pytest.raises(errors.TaskRevokedError):
        result.get(timeout=20)


def test_delayed_tasks_wait_for_who_waits_for_them(app: Umbel) -> None:
    @app.task
    def late() -> str:
        return "came"

    result = late.apply_async(countdown=0.2)
    assert InMemoryWorker(app).run(wait=20) == 1
    assert result.get(timeout=20) == "came"


def test_a_delay_beyond_the_wait_is_not_waited_for(app: Umbel) -> None:
    @app.task
    def late() -> None: ...

    late.apply_async(countdown=60)
    worker = InMemoryWorker(app)
    began = time.monotonic()
    assert (worker.run(), worker.run(wait=0.2)) == (0, 0)
    assert time.monotonic() - began < 30.0


def test_it_works_in_a_thread_while_the_test_waits(app: Umbel) -> None:
    threads: list[threading.Thread] = []

    @app.task
    def double(x: int) -> int:
        threads.append(threading.current_thread())
        return 2 * x

    with InMemoryWorker(app):
        assert [double.delay(x).get(timeout=20) for x in range(5)] == [0, 2, 4, 6, 8]
    assert threading.current_thread() not in threads
    result = double.delay(1)
    assert not result.ready()


def test_only_the_named_queues_are_taken_from(app: Umbel) -> None:
    @app.task
    def where() -> None: ...

    mail, reports = where.apply_async(queue="mail"), where.apply_async(queue="reports")
    assert InMemoryWorker(app, ["mail"]).run() == 1
    assert mail.ready()
    assert not reports.ready()


def test_a_revoked_task_does_not_run(app: Umbel) -> None:
    ran: list[bool] = []

    @app.task
    def unwanted() -> None:
        ran.append(True)

    result = unwanted.delay()
    app.broker.revoke([result.id])
    assert InMemoryWorker(app).run() == 1
    assert ran == []
    with pytest.raises(errors.TaskRevokedError):
        result.get(timeout=20)


def test_a_task_that_runs_at_most_once_stores_its_result(app: Umbel) -> None:
    @app.task(acks_late=False)
    def once() -> str:
        return "done"

    result = once.delay()
    assert InMemoryWorker(app).run() == 1
    assert result.get(timeout=20) == "done"


def test_a_task_that_runs_at_most_once_does_not_run_again(app: Umbel) -> None:
    """Who began it is gone without a word: here its message is marked, as a worker marks it, and goes back."""
    ran: list[bool] = []
    told: list[str] = []

    class Telling(Task[..., Any]):
        def on_failure(self, exc: BaseException, task_id: str, *rest: Any) -> None:
            told.append(task_id)

    @app.task(base=Telling, acks_late=False)
    def once() -> None:
        ran.append(True)

    result = once.delay()
    consumer = app.broker.consumer(owner("default"))
    consumer.register()
    (delivery,) = take(consumer, "default")
    assert consumer.begin(delivery)
    consumer.leave()
    consumer.close()
    assert InMemoryWorker(app).run() == 1
    assert ran == []
    assert told == [result.id]
    with pytest.raises(errors.WorkerLostError, match="acks_late=False"):
        result.get(timeout=20)


def test_a_task_that_runs_at_most_once_may_ask_for_another_run(app: Umbel) -> None:
    ran = []

    @app.task(acks_late=False)
    def once() -> str:
        ran.append(True)
        if len(ran) < 2:
            raise errors.Reject("not now", requeue=True)
        return "done"

    result = once.delay()
    assert InMemoryWorker(app).run(wait=20) == 2
    assert result.get(timeout=20) == "done"


def test_an_unreadable_message_ends_in_the_dead_letters(app: Umbel) -> None:
    from umbel.broker.base import Outgoing
    from umbel.message import Message

    broken = Message({"id": "1"}, b"")
    app.broker.publish("default", [Outgoing(broken.encode(), "1")])
    assert InMemoryWorker(app).run() == 1
    (letter,) = app.broker.dead("default")
    assert letter.reason["reason"] == "Unreadable"


def test_what_was_taken_goes_back_when_the_run_is_interrupted(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.task
    def untouched() -> None: ...

    def interrupt() -> set[str]:
        raise KeyboardInterrupt

    untouched.delay()
    with monkeypatch.context() as patch:
        patch.setattr(app.broker, "revoked", interrupt)
        with pytest.raises(KeyboardInterrupt):
            InMemoryWorker(app).run()
    info = app.broker.info("default")
    assert (info.ready, info.in_flight) == (1, 0)
    assert InMemoryWorker(app).run() == 1


def test_what_would_end_the_process_ends_the_task_alone(app: Umbel) -> None:
    @app.task
    def leave() -> None:
        raise SystemExit(3)

    result = leave.delay()
    assert InMemoryWorker(app).run() == 1
    assert result.failed()


def test_a_buried_worker_goes_on_as_another_owner(app: Umbel) -> None:
    runs: list[int] = []

    @app.task
    def bury_me() -> int:
        runs.append(1)
        if len(runs) == 1:
            liveness = app.broker.liveness()
            for owner in liveness.scores():
                liveness.bury(owner)
            liveness.close()
        return len(runs)

    result = bury_me.delay()
    assert InMemoryWorker(app).run() == 2
    assert result.get(timeout=20) == 2


def test_starting_twice_is_refused(app: Umbel) -> None:
    with InMemoryWorker(app) as worker, pytest.raises(RuntimeError, match="runs already"):
        worker.start()


def test_joining_a_task_that_does_not_end_says_so(app: Umbel) -> None:
    started, release = threading.Event(), threading.Event()

    @app.task
    def long() -> None:
        started.set()
        release.wait(60.0)

    worker = InMemoryWorker(app)
    worker.start()
    long.delay()
    assert started.wait(20.0)
    worker.stop()
    with pytest.raises(TimeoutError, match="still runs"):
        worker.join(0.05)
    release.set()
    worker.join(20.0)
