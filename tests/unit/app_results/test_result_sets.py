"""Results of several tasks: as a set, as a group that can be stored, and in their short form."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import AsyncResult, GroupResult, ResultSet, Umbel, context, failure, result_from_tuple, states
from umbel.errors import IncompleteStream, TimeoutError
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


def test_members_come_and_go(app: Umbel) -> None:
    one, two = app.AsyncResult("1"), app.AsyncResult("2")
    results = app.ResultSet([one])
    results.add(two)
    results.add(two)
    assert (len(results), list(results), results[1]) == (2, [one, two], two)
    results.remove("1")
    with pytest.raises(KeyError, match="1 is none of the 1 results"):
        results.remove(one)
    results.discard(one)
    results.update([one, two, one])
    assert results.results == [two, one]
    assert results == ResultSet([two, one])
    results.clear()
    assert not results.results


def test_states_of_a_set(app: Umbel) -> None:
    one, two = store(app, "1", 1), app.AsyncResult("2")
    results = app.ResultSet([one, two])
    assert (results.ready(), results.waiting(), results.successful(), results.failed()) == (False, True, False, False)
    assert results.completed_count() == 1
    results.maybe_throw()
    store(app, "2", KeyError("x"), states.FAILURE)
    assert (results.ready(), results.waiting(), results.successful(), results.failed()) == (True, False, False, True)
    with pytest.raises(KeyError):
        results.maybe_throw()
    assert (app.ResultSet().ready(), app.ResultSet().successful(), app.ResultSet().get()) == (True, True, [])


def test_values_come_in_the_order_of_the_members(app: Umbel) -> None:
    results = app.ResultSet([app.AsyncResult(str(number)) for number in range(3)])
    writer = threading.Thread(target=lambda: [store(app, str(number), number) for number in (2, 0, 1)])
    writer.start()
    assert results.get(timeout=20) == [0, 1, 2]
    writer.join()
    assert results.join(timeout=0) == results.join_native(timeout=0) == [0, 1, 2]


def test_the_first_failure_is_raised_before_the_rest_has_come(app: Umbel) -> None:
    results = app.ResultSet([app.AsyncResult("never"), store(app, "1", KeyError("x"), states.FAILURE)])
    with pytest.raises(KeyError):
        results.get(timeout=20)
    assert repr(app.ResultSet(results[1:]).get(propagate=False)) == "[KeyError('x')]"


def test_waiting_for_a_set_has_an_end(app: Umbel) -> None:
    results = app.ResultSet([app.AsyncResult("never"), app.AsyncResult("nor"), store(app, "1", 1)])
    beats: list[int] = []
    with pytest.raises(TimeoutError, match="2 of 3 results did not arrive in time"):
        results.get(timeout=0.5, interval=0.01, on_interval=lambda: beats.append(1))
    assert beats


def test_a_callback_gets_the_values_instead(app: Umbel) -> None:
    seen: list[Any] = []
    messages: list[Any] = []
    results = app.ResultSet([store(app, "1", 10), store(app, "2", 20)])
    assert results.get(callback=lambda *got: seen.append(got), on_message=messages.append) == []
    assert seen == [("1", 10), ("2", 20)]
    assert [(one["task_id"], one["status"], one["result"]) for one in messages] == [
        ("1", "SUCCESS", 10),
        ("2", "SUCCESS", 20),
    ]


def test_members_are_yielded_as_they_end(app: Umbel) -> None:
    results = app.ResultSet([app.AsyncResult("1"), app.AsyncResult("2")])
    store(app, "2", 2)
    coming = results.as_completed(timeout=10)
    assert next(coming).id == "2"
    store(app, "1", 1)
    assert next(coming).id == "1"
    assert [(task_id, meta["result"]) for task_id, meta in results.iter_native()] == [("1", 1), ("2", 2)]
    assert list(results.iterate()) == [1, 2]


def test_sets_within_sets(app: Umbel) -> None:
    inner = GroupResult("inner", [store(app, "1", 1), store(app, "2", 2)], app=app)
    outer = GroupResult("outer", [inner, store(app, "3", 3)], app=app)
    assert outer.get() == [[1, 2], 3]
    assert (outer.completed_count(), outer.ready()) == (3, True)
    assert dict(outer.iter_native())["inner"] == [1, 2]


def test_a_set_in_an_event_loop(app: Umbel) -> None:
    results = app.ResultSet([app.AsyncResult("1"), app.AsyncResult("2")])

    async def scenario() -> tuple[list[str], list[Any]]:
        async def write() -> None:
            await asyncio.to_thread(store, app, "2", 2)
            await asyncio.to_thread(store, app, "1", 1)

        writing = asyncio.create_task(write())
        came = [result.id async for result in results]
        await writing
        return came, await results

    came, values = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert sorted(came) == ["1", "2"]
    assert values == [1, 2]
    store(app, "3", KeyError("x"), states.FAILURE)
    never = app.ResultSet([app.AsyncResult("never"), app.AsyncResult("3")])

    async def failing() -> Any:
        return await never

    with pytest.raises(KeyError):
        asyncio.run(asyncio.wait_for(failing(), 20))


def test_a_function_is_called_at_the_end(app: Umbel) -> None:
    told, done = [], threading.Event()

    def note(result: Any) -> None:
        told.append(result)
        if len(told) == 3:
            done.set()

    one = app.AsyncResult("1").then(note)
    both = app.ResultSet([one, app.AsyncResult("2")]).then(note)
    assert told == []
    store(app, "1", 1)
    store(app, "2", 2)
    both.then(note)
    assert done.wait(10)
    assert told.count(both) == 2
    errors: list[BaseException] = []

    def broken(result: Any) -> None:
        raise ValueError("no")

    app.AsyncResult("1").then(broken, on_error=errors.append)
    assert list(map(repr, errors)) == ["ValueError('no')"]


def test_a_group_is_stored_and_found_again(app: Umbel) -> None:
    group = GroupResult("g", [app.AsyncResult("1"), app.AsyncResult("2")], parent=app.AsyncResult("0"), app=app)
    assert app.GroupResult.restore("g") is None
    assert group.save() is group
    found = app.GroupResult.restore("g")
    assert found == group
    assert found is not None
    assert (str(found.parent), list(map(str, found.children)), found.app) == ("0", ["1", "2"], app)
    assert app.AsyncResult("g").state == states.PENDING
    group.delete()
    assert GroupResult.restore("g", app=app) is None


def test_an_empty_group_is_true(app: Umbel) -> None:
    group = app.GroupResult("g")
    assert group
    assert (group.get(), len(group), group.app) == ([], 0, app)


def test_the_short_form_of_results(app: Umbel) -> None:
    first = app.AsyncResult("1")
    group = GroupResult("g", [app.AsyncResult("2"), app.AsyncResult("3")], parent=first, app=app)
    last = AsyncResult[Any]("4", app=app, parent=group)
    form = last.as_tuple()
    assert form == (("4", (("g", (("1", None), None)), [(("2", None), None), (("3", None), None)])), None)
    again = result_from_tuple(json.loads(json.dumps(form)), app)
    assert (again, again.parent, again.parent.parent) == (last, group, first)
    assert again.as_tuple() == form
    assert last.as_list() == ["4", "g", "1"]
    assert (result_from_tuple("7", app).id, result_from_tuple(last) is last) == ("7", True)
    with pytest.raises(ValueError, match="give what as_tuple"):
        result_from_tuple(5)
    assert pickle.loads(pickle.dumps(last)).as_tuple() == form


def test_a_chain_may_be_longer_than_the_stack(app: Umbel) -> None:
    result = AsyncResult[Any]("0", app=app)
    for number in range(1, 5000):
        result = AsyncResult(str(number), app=app, parent=result)
    again = app.result_from_tuple(result.as_tuple())
    assert len(again.as_list()) == 5000


def test_the_failure_of_a_parent_is_raised(app: Umbel) -> None:
    first = store(app, "1", KeyError("cause"), states.FAILURE)
    second = AsyncResult[Any]("2", app=app, parent=first)
    with pytest.raises(KeyError):
        second.get(timeout=20)
    with pytest.raises(TimeoutError):
        second.get(timeout=0.01, follow_parents=False)
    store(app, "2", ValueError("follows"), states.FAILURE)
    with pytest.raises(KeyError):
        second.get(timeout=20)
    with pytest.raises(ValueError, match="follows"):
        second.get(follow_parents=False)
    assert repr(second.get(propagate=False)) == "ValueError('follows')"

    async def awaited() -> Any:
        return await second

    with pytest.raises(KeyError):
        asyncio.run(awaited())


def test_from_a_result_to_all_that_descends_from_it(app: Umbel) -> None:
    root = store(app, "1", 1, children=[[["2", None], None], [["g", None], [[["3", None], None]]]])
    store(app, "2", 2)
    store(app, "3", 3)
    assert [str(child) for child in root.children] == ["2", "g"]
    assert [(str(parent), str(node)) for parent, node in root.iterdeps()] == [
        ("None", "1"),
        ("1", "2"),
        ("1", "g"),
        ("g", "3"),
    ]
    assert [(str(node), value) for node, value in root.collect()] == [("1", 1), ("2", 2), ("g", [3]), ("3", 3)]
    assert root.get_leaf() == 3
    assert store(app, "5", 5).get_leaf() == 5
    unknown = app.AsyncResult("unknown")
    with pytest.raises(IncompleteStream, match="unknown has not ended"):
        list(unknown.iterdeps())
    assert len(list(unknown.iterdeps(intermediate=True))) == 1


def test_forgetting_takes_the_parents_along(app: Umbel) -> None:
    first, member = store(app, "1", 1), store(app, "2", 2)
    group = GroupResult("g", [member], parent=first, app=app)
    last = AsyncResult[Any]("3", app=app, parent=group)
    store(app, "3", 3)
    last.forget()
    assert [app.AsyncResult(task_id).exists() for task_id in "123"] == [False, False, False]
    assert store(app, "4", 4).exists()


def test_a_set_is_revoked_at_once(app: Umbel) -> None:
    app.ResultSet([app.AsyncResult("1"), GroupResult("g", [app.AsyncResult("2")], app=app)]).revoke()
    assert app.broker.revoked() == {"1", "2"}
