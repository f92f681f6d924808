"""What the sender of a unique task, of a batch and of many calls sees. The locks themselves: tests/conformance."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel, bulk, group
from umbel.errors import DuplicateTask, EncodeError, ImproperlyConfigured, TaskRevokedError
from umbel.testing import InMemoryWorker, manual_time


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("unique", broker=f"memory://{uuid.uuid4()}") as app:
        yield app


def ready(app: Umbel) -> int:
    return app.broker.info("default").ready


def test_an_equal_call_gets_the_result_of_the_first(app: Umbel) -> None:
    @app.task(unique=True)
    def add(x: int, y: int = 2) -> int:
        return x + y

    first = add.delay(1)
    others = [add.delay(1), add.delay(1, 2), add.delay(y=2, x=1), add.apply_async((1,), countdown=3)]
    assert {other.id for other in others} == {first.id}
    assert add.delay(2).id != first.id
    assert ready(app) == 2
    InMemoryWorker(app).run()
    assert [other.get(timeout=20) for other in others] == [3, 3, 3, 3]
    assert add.delay(1).id != first.id


def test_a_unique_task_is_no_step_of_a_workflow(app: Umbel) -> None:
    @app.task(unique=True)
    def once(x: int) -> int:
        return x

    @app.task
    def add(x: int, y: int = 0) -> int:
        return x + y

    for whole in (once.s(1) | add.s(1), add.s(1) | once.s(), group(add.s(1), add.s(2)) | once.si(1)):
        with pytest.raises(ImproperlyConfigured, match="once is unique"):
            whole.delay()
    with pytest.raises(ImproperlyConfigured, match="once is unique"):
        add.apply_async((1,), link=once.s())
    assert ready(app) == 0
    first, second = group(once.s(1), once.s(2)).delay().results
    assert (once.delay(1).id, once.s(2).delay().id) == (first.id, second.id)


def test_the_order_of_a_dict_makes_no_difference(app: Umbel) -> None:
    @app.task(unique=True)
    def take(what: dict[str, Any]) -> None: ...

    assert take.delay({"a": 1, "b": [2]}).id == take.delay({"b": [2], "a": 1}).id


def test_the_key_may_be_an_argument_or_a_function(app: Umbel) -> None:
    @app.task(unique=True, unique_key="user")
    def by_name(user: int, text: str) -> None: ...

    @app.task(unique=True, unique_key=lambda user, text: (user, len(text)))
    def by_function(user: int, text: str) -> None: ...

    assert by_name.delay(1, "a").id == by_name.delay(1, "b").id != by_name.delay(2, "a").id
    assert by_function.delay(1, "a").id == by_function.delay(1, "b").id != by_function.delay(1, "aa").id


def test_a_key_of_none_makes_a_call_like_any_other(app: Umbel) -> None:
    @app.task(unique=True, unique_key=lambda user: user or None)
    def greet(user: int) -> None: ...

    assert greet.delay(0).id != greet.delay(0).id
    assert greet.delay(1).id == greet.delay(1).id


def test_reject_raises_with_the_id_of_the_other(app: Umbel) -> None:
    @app.task(unique_for=60, on_conflict="reject")
    def add(x: int) -> int:
        return x

    first = add.delay(1)
    with pytest.raises(DuplicateTask, match=f"equal task {first.id} has not ended") as caught:
        add.delay(1)
    assert caught.value.task_id == first.id
    assert add.apply_async((2,), task_id="mine").id == "mine"
    assert add.apply_async((2,), task_id="mine").id == "mine"  # sent again under its id: that is no conflict


def test_replace_ends_the_one_that_has_not_started(app: Umbel) -> None:
    ran = []

    @app.task(unique=True, unique_key="name", on_conflict="replace")
    def save(name: str, text: str) -> str:
        ran.append(text)
        return text

    old, new = save.delay("a", "old"), save.delay("a", "new")
    assert old.id != new.id
    InMemoryWorker(app).run()
    assert ran == ["new"]
    assert new.get(timeout=20) == "new"
    with pytest.raises(TaskRevokedError, match="replaced"):
        old.get(timeout=20)


def test_replace_lets_the_running_one_end_and_retry(app: Umbel) -> None:
    ran: list[str] = []

    @app.task(bind=True, unique=True, unique_key="name", on_conflict="replace")
    def save(self: Any, name: str, text: str) -> str:
        ran.append(text)
        if text == "old" and not self.request.retries:
            save.delay("a", "new")
            raise self.retry(countdown=0)
        return text

    old = save.delay("a", "old")
    InMemoryWorker(app).run(wait=20)
    assert old.get(timeout=20) == "old"
    assert sorted(ran) == ["new", "old", "old"]


def test_a_retry_keeps_the_lock_and_the_end_drops_it(app: Umbel) -> None:
    @app.task(bind=True, unique=True)
    def work(self: Any) -> str:
        if not self.request.retries:
            raise self.retry(countdown=60)
        assert work.delay().id == self.request.id  # while it runs
        return "done"

    with manual_time(app) as clock:
        first = work.delay()
        worker = InMemoryWorker(app)
        worker.run()
        assert work.delay().id == first.id  # while it waits for the retry
        clock.advance(61)
        worker.run()
        assert first.get(timeout=20) == "done"
        assert work.delay().id != first.id


@pytest.mark.parametrize("acks_late", [True, False])
def test_a_failure_drops_the_lock(app: Umbel, acks_late: bool) -> None:
    @app.task(unique=True, acks_late=acks_late)
    def fail() -> None:
        raise ValueError("no")

    first = fail.delay()
    InMemoryWorker(app).run()
    assert fail.delay().id != first.id


def test_a_revoked_task_drops_the_lock(app: Umbel) -> None:
    @app.task(unique=True)
    def work() -> None: ...

    first = work.delay()
    first.revoke()
    InMemoryWorker(app).run()
    assert work.delay().id != first.id


# Batches


def test_results_of_a_batch_stand_for_equal_tasks_once_it_is_sent(app: Umbel) -> None:
    @app.task(unique=True)
    def add(x: int) -> int:
        return x + 1

    earlier = add.delay(7)
    with app.batch():
        results = [add.delay(1), add.delay(1), add.delay(7)]
    assert results[0].id == results[1].id
    assert results[2].id == earlier.id
    InMemoryWorker(app).run()
    assert [result.get(timeout=20) for result in results] == [2, 2, 8]


def test_rejected_tasks_of_a_batch_are_told_after_the_others_were_sent(app: Umbel) -> None:
    @app.task(unique=True, on_conflict="reject")
    def add(x: int) -> int:
        return x

    with pytest.raises(DuplicateTask, match="and 1 more"):
        app.send_many([(add, (x,)) for x in (1, 1, 1, 2)])
    assert ready(app) == 2


def test_a_batch_that_raises_sends_nothing(app: Umbel) -> None:
    @app.task
    def add(x: int) -> int:
        return x

    def fail() -> None:
        with app.batch():
            add.delay(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ready(app) == 0
    add.delay(1)
    assert ready(app) == 1


def test_a_batch_in_a_batch_joins_it(app: Umbel) -> None:
    @app.task
    def add(x: int) -> int:
        return x

    with app.batch():
        with app.batch():
            add.delay(1)
        assert ready(app) == 0
    assert ready(app) == 1


def test_batches_of_two_apps_do_not_mix(app: Umbel) -> None:
    other = Umbel("other", broker=f"memory://{uuid.uuid4()}", set_as_current=False)
    with app.batch():
        other.send_task("x")
        with other.batch():
            app.send_task("y")
            other.send_task("z")
            assert (ready(app), ready(other)) == (0, 1)
        assert (ready(app), ready(other)) == (0, 2)
    assert (ready(app), ready(other)) == (1, 2)
    other.close()


@pytest.mark.parametrize(("limit", "value"), [("MOST_MESSAGES", 10), ("MOST_BYTES", 1000)])
def test_a_large_batch_goes_out_in_parts(app: Umbel, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(bulk, limit, value)
    with app.batch():
        for _ in range(25):
            app.send_task("x")
        assert 0 < ready(app) < 25
    assert ready(app) == 25


# Many calls


def test_many_calls_go_out_together(app: Umbel) -> None:
    @app.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    calls = [
        (add, (1,)),
        (add, (2,), {"y": 3}),
        (add, (), {"x": 5}, {"queue": "other"}),
        (add.name, [6]),
        (add, (7, 7)),
    ]
    results = app.send_many(calls)
    assert ready(app) == 4
    InMemoryWorker(app, ["default", "other"]).run()
    assert [result.get(timeout=20) for result in results] == [2, 5, 6, 7, 14]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (("add",), TypeError, "takes .task or name"),
        (("task", ()), TypeError, "cannot be called like this"),
        (("task", (object(),)), EncodeError, "argument 1"),
        (("task", (1,), None, {"queu": "x"}), TypeError, "did you mean 'queue'"),
    ],
)
def test_a_wrong_call_sends_none(app: Umbel, call: tuple[Any, ...], error: type[Exception], message: str) -> None:
    @app.task
    def add(x: int) -> int:
        return x

    first = add if call[0] == "task" else 7
    with pytest.raises(error, match=message):
        app.send_many([(add, (1,)), (first, *call[1:])])
    assert ready(app) == 0
