"""Workflows that run in the calling process do what they do on workers."""

from __future__ import annotations

from typing import Any

import pytest

from umbel import EagerResult, GroupResult, Task, Umbel, chain, chord, group, states, xmap
from umbel.errors import ChordError, ImproperlyConfigured


@pytest.fixture
def note(app: Umbel) -> Task[..., Any]:
    """Return a task that returns its arguments."""

    @app.task(name="note")
    def note(*args: Any) -> list[Any]:
        return list(args)

    return note


@pytest.fixture
def add(app: Umbel) -> Task[[int, int], int]:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return add


@pytest.fixture
def fail(app: Umbel) -> Task[..., Any]:
    @app.task(name="fail")
    def fail(*args: Any) -> None:
        raise ValueError("no")

    return fail


def test_each_link_of_a_chain_gets_the_result_of_the_one_before(app: Umbel, add: Task[[int, int], int]) -> None:
    result = chain(add.s(1, 2), add.s(10), add.si(100, 1), add.s(1000)).apply()
    assert result.get() == 1101
    assert [result.parent.get(), result.parent.parent.get()] == [101, 13]
    assert result.parent.parent.parent.parent is None


def test_arguments_of_the_call_go_to_the_first(app: Umbel, note: Task[..., Any]) -> None:
    assert (note.s("a") | note.s("b")).apply(("x",)).get() == [["x", "a"], "b"]
    assert group(note.s("a"), note.s("b")).apply(("x",)).get() == [["x", "a"], ["x", "b"]]
    assert chord([note.s("a"), note.s("b")], note.s("c")).apply(("x",)).get() == [[["x", "a"], ["x", "b"]], "c"]


def test_what_ends_in_a_group_is_a_list_in_what_a_body_gets(app: Umbel, note: Task[..., Any]) -> None:
    body = app.signature("umbel.accumulate", kwargs={"index": 0})
    one, two, three = (note.si(name) for name in "abc")
    shapes = [
        (chord([group(one, two), three], body), [["a"], ["b"], ["c"]]),
        (chord([one | group(two, three), one], body), [[["b"], ["c"]], ["a"]]),
        (chord([one | group(two, one | group(two, three))], body), [[["b"], [["b"], ["c"]]]]),
        (chord([chord([one], group(two, three)), one], body), [[["b"], ["c"]], ["a"]]),
        (chord([one | group(two), three], body), [["b"], ["c"]]),
        (one | group([group(two)]) | body, [["b"]]),
        (chord([one], group(chord([two], group(body, three)))), [[[["b"]], ["c"]]]),
        (group(one | group(two, three)), [["b"], ["c"]]),
    ]
    assert [whole.apply().get() for whole, _ in shapes] == [expected for _, expected in shapes]


def test_what_follows_a_failure_is_not_run_and_tells_of_it(app: Umbel, note: Task[..., Any], fail: Any) -> None:
    result = (note.s(1) | fail.s() | note.s(2) | note.s(3)).apply(task_id="last")
    assert (result.id, result.state) == ("last", states.FAILURE)
    states_before = [result.parent.state, result.parent.parent.state, result.parent.parent.parent.state]
    assert states_before == [states.PENDING, states.FAILURE, states.SUCCESS]
    with pytest.raises(ValueError, match="no"):
        result.get()
    with pytest.raises(ValueError, match="no"):
        (note.s(1) | fail.s() | note.s(2)).apply(throw=True)


def test_a_group_of_groups_has_one_list_of_results(app: Umbel, note: Task[..., Any]) -> None:
    result = group(note.s(1), group(note.s(2), note.s(3)), note.s(4)).apply()
    assert isinstance(result, GroupResult)
    assert result.get() == [[1], [2], [3], [4]]
    assert group().apply().get() == []


def test_a_body_gets_the_results_of_all_last_tasks_in_order(app: Umbel, note: Task[..., Any]) -> None:
    header = [note.s(1), note.s(2) | note.s(3), group(note.s(4), note.s(5)), note.s(6) | group(note.s(7), note.s(8))]
    assert chord(header, note.s()).apply().get() == [[[1], [[2], 3], [4], [5], [[[6], 7], [[6], 8]]]]
    assert chord([], note.s()).apply().get() == [[]]
    assert chord(header, note.s()).__length_hint__() == 6


def test_a_failing_header_fails_the_body_and_calls_its_errbacks(app: Umbel, note: Any, fail: Any) -> None:
    heard: list[Any] = []

    @app.task(name="old")
    def old(request: Any, exc: BaseException, traceback: str) -> None:
        heard.append((request.id, str(exc)))

    @app.task(name="new")
    def new(task_id: str) -> None:
        heard.append(task_id)

    body = note.s().on_error(old.s()).on_error(new.s())
    result = chord([note.s(1), fail.s().set(task_id="bad"), note.s(2)], body).apply(task_id="body")
    assert isinstance(result.result, ChordError)
    text = "Dependency bad raised ValueError('no')"
    assert str(result.result) == text
    assert [end.state for end in result.parent] == [states.SUCCESS, states.FAILURE, states.SUCCESS]
    assert heard == [("body", text), "body"]


def test_callbacks_and_errbacks_follow_a_task(app: Umbel, note: Any, fail: Any) -> None:
    heard: list[Any] = []

    @app.task(name="hear")
    def hear(*args: Any) -> None:
        heard.append(args)

    @app.task(name="bound", bind=True)
    def bound(self: Task[..., Any], task_id: str, extra: str) -> None:
        heard.append((task_id, extra, self.request.parent_id))

    note.apply((1,), link=[hear.s("after"), hear.si("alone")], link_error=hear.s("never"))
    assert heard == [([1], "after"), ("alone",)]
    heard.clear()
    result = fail.apply(task_id="bad", link=hear.s("never"), link_error=[bound.s("x"), hear.s("y")])
    assert result.failed()
    (first, (request, error, trace, given)) = heard
    assert first == ("bad", "x", "bad")
    assert (request.id, error, given) == ("bad", result.result, "y")
    assert "ValueError: no" in trace


def test_a_replaced_task_ends_as_what_runs_in_its_place(app: Umbel, add: Any, note: Any, fail: Any) -> None:
    heard: list[Any] = []

    @app.task(name="hear")
    def hear(value: Any) -> None:
        heard.append(value)

    @app.task(name="spread", bind=True)
    def spread(self: Task[..., Any], n: int, how: str) -> Any:
        if how == "fail":
            self.replace(fail.s())
        if how == "chain":
            self.replace(add.s(n, 1) | add.s(1))
        self.replace(group(add.s(i, i) for i in range(n)))

    result = spread.apply((3, "group"), task_id="outer", link=hear.s())
    assert (result.id, result.get(), heard) == ("outer", [0, 2, 4], [[0, 2, 4]])
    assert (spread.s(3, "chain") | note.s("next")).apply().get() == [5, "next"]
    assert spread.apply((3, "fail")).state == states.FAILURE
    with pytest.raises(ImproperlyConfigured, match="called directly"):
        spread(3, "group")

    @app.task(name="empty", bind=True)
    def empty(self: Task[..., Any]) -> None:
        self.replace(chain())

    assert "empty chain" in str(empty.apply().result)


def test_a_task_adds_to_the_header_that_it_belongs_to(app: Umbel, note: Any) -> None:
    @app.task(name="more", bind=True)
    def more(self: Task[..., Any], n: int) -> int:
        if n:
            self.add_to_chord(more.s(n - 1))
        return n

    assert chord([more.s(2), note.s("x")], note.s()).apply().get() == [[2, ["x"], 1, 0]]
    assert "no member" in str(more.apply((1,)).result)


def test_retries_of_a_part_happen_before_what_follows(app: Umbel, note: Any) -> None:
    @app.task(name="flaky", bind=True, max_retries=2)
    def flaky(self: Task[..., Any], needed: int) -> int:
        if self.request.retries < needed:
            raise self.retry(countdown=1000)
        return self.request.retries

    assert (flaky.s(2) | note.s()).apply().get() == [2]
    assert (flaky.s(3) | note.s()).apply().state == states.FAILURE


def test_maps_run_in_one_task_and_chunks_in_several(app: Umbel, add: Any, note: Any) -> None:
    assert note.map(range(3)).apply().get() == [[0], [1], [2]]
    assert add.starmap((i, i) for i in range(3)).apply().get() == [0, 2, 4]
    pieces = add.chunks(zip(range(5), range(5), strict=True), 2)
    assert pieces.apply().get() == [[0, 2], [4, 6], [8]]
    assert (pieces.group() | note.s()).apply().get() == [[[0, 2], [4, 6], [8]]]
    assert (note.s(1) | xmap(note, [1, 2])).apply().get() == [[1], [2]]
    with pytest.raises(ValueError, match="n=0"):
        add.chunks([], 0)


def test_a_map_awaits_coroutines(app: Umbel) -> None:
    @app.task(name="double")
    async def double(x: int) -> int:
        return 2 * x

    assert double.map([1, 2]).apply().get() == [2, 4]


def test_always_eager_runs_what_would_be_sent(app: Umbel, add: Any, note: Any) -> None:
    app.conf.task_always_eager = True
    assert (add.s(1, 2) | note.s()).delay().get() == [3]
    assert group(add.s(1, 2), add.s(3, 4))().get() == [3, 7]
    assert chord([add.s(1, 2)])(note.s()).get() == [[3]]
    assert ~add.s(1, 2) == 3
    assert isinstance(add.s(1).delay(2), EagerResult)
    assert add.apply_async((1, 2), link=note.s()).get() == 3
    assert chain().apply_async() is None  # type: ignore[func-returns-value]


def test_workflows_can_be_sent_as_tasks_too(app: Umbel, add: Any, note: Any) -> None:
    for whole in (add.s(1, 2) | note.s(), group(add.s(1, 2), note.s()), chord([add.s(1, 2)], note.s())):
        built_in = app.signature(whole.task, kwargs=whole.plain()["kwargs"])
        assert built_in.apply().get() == whole.apply().get()
    assert app.signature("umbel.accumulate", (1, 2)).apply().get() == [1, 2]
    assert app.signature({"task": "celery.accumulate", "args": [1, 2]}).apply().get() == [1, 2]
