"""Each method and rule of results that Celery's users know, as far as no other test is about it."""

from __future__ import annotations

import copy
import pickle
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import AsyncResult, EagerResult, GroupResult, ResultSet, Umbel, context, failure, states
from umbel.context import allow_join_result, assert_will_not_block, denied_join_result
from umbel.errors import RemoteError, TimeoutError
from umbel.record import Record
from umbel.serialization import json as codec


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        yield app


def store(app: Umbel, task_id: str, value: Any = None, state: str = states.SUCCESS, **meta: Any) -> AsyncResult[Any]:
    raw = failure.encode(value) if isinstance(value, BaseException) else codec.encode(value)
    assert app.results.store(task_id, Record(state, raw, 0, 1_700_000_000_000, meta), 60)
    return app.AsyncResult(task_id)


# -- AsyncResult


def test_names_by_which_the_same_is_called(app: Umbel) -> None:
    result = store(app, "1", 5)
    assert (result.id, result.task_id) == ("1", "1")
    assert (result.state, result.status) == ("SUCCESS", "SUCCESS")
    assert (result.result, result.info) == (5, 5)
    assert result.wait(timeout=1) == result.get(timeout=1, interval=0.1, no_ack=False) == 5
    assert result.supports_native_join
    assert result.backend is app.results
    assert AsyncResult("1", app.results).backend is app.results
    assert result.TimeoutError is TimeoutError
    with pytest.raises(result.TimeoutError):
        app.AsyncResult("never").get(timeout=0.01)


@pytest.mark.parametrize("again", [copy.copy, lambda result: pickle.loads(pickle.dumps(result))])
def test_a_copy_is_the_same_result(app: Umbel, again: Any) -> None:
    result = AsyncResult[int]("2", app=app, task_name="add", parent=app.AsyncResult("1"), ignored=True)
    same = again(result)
    assert same == result
    assert (same.task_name, same.parent, same.ignored, same.app) == ("add", result.parent, True, app)


def test_a_copy_asks_the_same_app_and_backend(app: Umbel) -> None:
    with Umbel("other", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as other:
        store(other, "1", 7)
        assert copy.copy(other.AsyncResult("1")).get(timeout=20) == 7
        assert copy.copy(AsyncResult[int]("1", backend=other.results)).get(timeout=20) == 7


def test_throwing(app: Umbel) -> None:
    good, bad, unknown = store(app, "1", 5), store(app, "2", KeyError("x"), states.FAILURE), app.AsyncResult("3")
    assert good.throw() == good.maybe_throw() == good.maybe_reraise() == 5
    for method in (bad.throw, bad.maybe_throw, bad.maybe_reraise):
        with pytest.raises(KeyError):
            method()
    with pytest.raises(ZeroDivisionError):
        good.throw(ZeroDivisionError())
    told: list[Any] = []
    bad.maybe_throw(propagate=False, callback=lambda *got: told.append(got))
    unknown.maybe_throw(callback=lambda *got: told.append(got))
    assert (told[0][0], type(told[0][1]), told[1]) == ("2", KeyError, ("3", None))


def test_a_retry_holds_its_exception_and_is_not_raised(app: Umbel) -> None:
    again = store(app, "1", KeyError("x"), states.RETRY)
    assert (again.state, again.ready(), type(again.result)) == ("RETRY", False, KeyError)
    assert type(again.maybe_throw()) is KeyError
    with pytest.raises(TimeoutError):
        again.get(timeout=0.01)


def test_what_is_ignored_is_not_waited_for(app: Umbel) -> None:
    result = app.AsyncResult("1", ignored=True)
    assert result.get(timeout=0) is None
    result.ignored = False
    with pytest.raises(TimeoutError):
        result.get(timeout=0)


def test_existence_and_forgetting(app: Umbel) -> None:
    result = store(app, "1", None)
    assert result.exists()
    result.forget()
    assert not result.exists()
    assert app.AsyncResult("1").state == "PENDING"


def test_descendants(app: Umbel) -> None:
    child = store(app, "c", 2)
    parent = store(app, "p", 1, children=[["c", None]])
    assert parent.children == [child]
    assert list(parent.iterdeps()) == [(None, parent), (parent, child)]
    assert list(parent.collect()) == [(parent, 1), (child, 2)]
    assert parent.get_leaf() == 2
    assert AsyncResult("c", app=app, parent=parent).as_list() == ["c", "p"]


def test_stamped_tasks_are_revoked(app: Umbel) -> None:
    app.AsyncResult("1").revoke_by_stamped_headers({"customer": "ada"})
    app.AsyncResult("1").revoke_by_stamped_headers({"customer": ["bob", "eve"]}, terminate=True, signal="SIGINT")


def test_extended_fields_are_none_without(app: Umbel) -> None:
    result = store(app, "1", 5)
    assert [result.name, result.args, result.kwargs, result.worker, result.retries, result.queue] == [None] * 6
    full = store(app, "2", 5, name="add", args=[1], kwargs={"y": 2}, worker="w", retries=3, queue="q")
    assert [full.name, full.args, full.kwargs, full.worker, full.retries, full.queue] == [
        "add",
        [1],
        {"y": 2},
        "w",
        3,
        "q",
    ]


def test_functions_are_called_in_any_thread_and_whatever_they_raise_is_told(app: Umbel) -> None:
    done, told = threading.Event(), []
    app.AsyncResult("1").then(lambda result: (told.append(result.get()), done.set()), weak=True)
    store(app, "1", 5)
    assert done.wait(10)
    store(app, "2", 6).then(lambda result: 1 / 0, on_error=told.append)
    assert (told[0], type(told[1])) == (5, ZeroDivisionError)


def test_where_waiting_is_denied(app: Umbel) -> None:
    result = store(app, "1", 5)
    with denied_join_result():
        with pytest.raises(RuntimeError):
            assert_will_not_block()
        with pytest.raises(RuntimeError):
            app.ResultSet([result]).get()
        with pytest.raises(RuntimeError):
            list(result.updates())
        with allow_join_result():
            assert result.get() == 5
    assert_will_not_block()


# -- ResultSet, GroupResult


def test_ways_of_waiting_for_a_set(app: Umbel) -> None:
    results = app.ResultSet([store(app, "1", 5), store(app, "2", 6)])
    assert results.get(1) == results.join(1, interval=0.1) == results.join_native(1, no_ack=False) == [5, 6]
    assert sorted(results.iterate(1)) == [5, 6]
    assert sorted((task_id, meta["result"], meta["status"]) for task_id, meta in results.iter_native(1)) == [
        ("1", 5, "SUCCESS"),
        ("2", 6, "SUCCESS"),
    ]
    assert results.supports_native_join
    assert (results.app, results.backend) == (app, app.results)
    assert ResultSet([]).get() == []


def test_failures_in_a_set(app: Umbel) -> None:
    results = app.ResultSet([store(app, "1", 5), store(app, "2", KeyError("x"), states.FAILURE), app.AsyncResult("3")])
    told: list[Any] = []
    with pytest.raises(KeyError):
        results.get(10)
    with pytest.raises(KeyError):
        results.maybe_throw(callback=lambda *got: told.append(got))
    assert told == [("1", 5)]
    results.remove("3")
    five, error = results.get(10, propagate=False)
    assert (five, type(error)) == (5, KeyError)
    told.clear()
    assert results.get(10, propagate=False, callback=lambda *got: told.append(got)) == []
    assert sorted(task_id for task_id, _ in told) == ["1", "2"]


def test_forgetting_and_revoking_a_set(app: Umbel) -> None:
    results = app.ResultSet([store(app, "1", 5), app.AsyncResult("2")])
    results.revoke()
    assert app.broker.revoked() == {"1", "2"}
    results.forget()
    assert not app.AsyncResult("1").exists()


def test_a_group_keeps_parent_and_members(app: Umbel) -> None:
    parent = app.AsyncResult("p")
    group = app.GroupResult("g", [store(app, "1", 5), store(app, "2", 6)], parent=parent)
    assert group.children == group.results
    assert group.as_tuple() == (("g", (("p", None), None)), [(("1", None), None), (("2", None), None)])
    group.save(app.results)
    again = GroupResult.restore("g", app.results, app)
    assert again is not None
    assert (again, again.parent, again.get(1)) == (group, parent, [5, 6])
    group.delete(app.results)
    assert app.GroupResult.restore("g") is None
    assert app.GroupResult.restore("unknown") is None
    assert bool(app.GroupResult("empty"))
    assert app.GroupResult("empty").get() == []


# -- EagerResult


def test_an_eager_result_is_made_as_in_celery() -> None:
    good = EagerResult("1", {"a": object}, states.SUCCESS, name="add")
    assert (good.id, good.state, good.name) == ("1", "SUCCESS", "add")
    assert (good.ready(), good.successful(), good.failed()) == (True, True, False)
    assert good.get(timeout=20) == good.result == good.maybe_throw() == {"a": object}
    bad = EagerResult("2", KeyError("x"), states.FAILURE, "the lines")
    assert (bad.failed(), bad.traceback, type(bad.result)) == (True, "the lines", KeyError)
    with pytest.raises(KeyError):
        bad.get()
    assert bad.get(propagate=False) is bad.result
    with pytest.raises(Exception, match="revoked"):
        EagerResult("3", "revoked", states.REVOKED).get()
    assert type(EagerResult("4", KeyError("x"), states.RETRY).get()) is KeyError


@pytest.mark.parametrize("again", [copy.copy, lambda result: pickle.loads(pickle.dumps(result))])
def test_a_copy_of_an_eager_result(app: Umbel, again: Any) -> None:
    @app.task
    def divide(x: int, y: int) -> float:
        return x / y

    assert again(divide.apply((4, 2))).get() == 2.0
    assert again(EagerResult("1", 5, states.SUCCESS)).get() == 5
    with pytest.raises(ZeroDivisionError):
        again(divide.apply((4, 0))).get()


def test_an_eager_result_has_all_that_others_have(app: Umbel) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    result, told = add.apply((1, 2)), []
    result.then(told.append)
    assert told == [result]
    assert result.get(timeout=0, propagate=False, disable_sync_subtasks=True) == result.wait() == 3
    with denied_join_result(), pytest.raises(RuntimeError):
        result.get()
    result.revoke(terminate=True)
    result.forget()
    assert (result.state, result.get()) == ("SUCCESS", 3)
    assert app.ResultSet([result, add.apply((2, 2))]).get() == [3, 4]
    assert [update.info for update in result.updates()] == [3]


def test_an_exception_that_nobody_knows(app: Umbel) -> None:
    raw = codec.encode({"type": "gone.away.Nowhere", "message": "who knows", "args": ["who knows"]})
    app.results.store("1", Record(states.FAILURE, raw), 60)
    with pytest.raises(RemoteError, match="who knows") as caught:
        app.AsyncResult("1").get(timeout=20)
    assert type(caught.value).__name__ == "Nowhere"
