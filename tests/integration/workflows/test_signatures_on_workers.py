"""Signatures through a real worker: every row of Celery's canvas, and no difference to what ``apply`` does here."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import canvas_app
from tests.canvas_app import add, called, fail, flaky, grow, later, lineage, note, stamps, swap, told, told_more
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import GroupResult, Umbel, chain, chord, context, group, signature, states
from umbel.errors import ChordError

SECONDS = 60.0


@pytest.fixture
def app(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Umbel]:
    start_worker(redis_server, prefix, app="tests.canvas_app:app").wait_ready()
    app = canvas_app.app
    monkeypatch.setattr(context, "_default_app", [app])
    app.conf.update(broker_url=redis_server.url, key_prefix=prefix)
    yield app
    app.close()


#: By what it shows: each is sent, and run here.
CASES: dict[str, Any] = {
    "partial": note.s(2).clone((1,)),
    "immutable": note.s(1) | note.si(2) | note.s(3),
    "keywords": note.s(1, a=2) | note.s(b=3),
    "from json": signature(json.loads(json.dumps(chord([note.s(1), note.s(2)], note.s(3))))),
    "completed": (note.s(1) | note.s(2)).clone((0,), {"a": 1}),
    "group then task": group(note.s(1), note.s(2)) | note.s(3),
    "chain then group then task": note.s(1) | group(note.s(2), note.s(3)) | note.s(4),
    "group then group": group(note.s(1), note.s(2)) | group(note.s(3), note.s(4)),
    "chord then task": chord([note.s(1)], note.s(2)) | note.s(3),
    "chord then group": chord([note.s(1)], note.s(2)) | group(note.s(3), note.s(4)),
    "one member on the right": note.s(1) | group(note.s(2)),
    "one member on the left": group(note.s(1)) | note.s(2),
    "empty group": note.s(1) | group() | note.s(2),
    "empty header": chord([], note.s(1)),
    "generator": group(note.s(i) for i in range(5)),
    "header by a generator": chord((note.s(i) for i in range(5)), note.s()),
    "groups in a group": group(note.s(1), group(note.s(2), group(note.s(3))), note.s(4)),
    "final tasks of a header": chord(
        [note.s(1) | group(note.s(2), note.s(3)), chord([note.s(4)], group(note.s(5), note.s(6))), note.s(7)], note.s()
    ),
    "body is a chain": chord([note.s(1), note.s(2)], note.s(3) | note.s(4)),
    "body is a group": chord([note.s(1), note.s(2)], group(note.s(3), note.s(4))),
    "group of one that ends in a group": group(note.s(1) | group(note.s(2), note.s(3))),
    "group of one whose body is a group": group(chord([note.s(1)], group(note.s(2), note.s(3)))),
    "map": note.map([1, [2, 3]]),
    "starmap": add.starmap([[1, 2], [3, 4]]),
    "chunks": add.chunks([[i, i] for i in range(5)], 2),
    "chunks then task": add.chunks([[i, i] for i in range(5)], 2).group() | note.s("x"),
    "retry": flaky.s("a", 2) | note.s("b"),
    "stamps": (stamps.s() | group(stamps.s(), stamps.s()) | note.s()).stamp(by="ada"),
    "replaced by a task": swap.s(1, "task") | note.s(2),
    "replaced by a chain": note.s(0) | swap.s("chain") | note.s(2),
    "replaced by a group": swap.s(1, "group") | note.s(2),
    "replaced by what ends in a group": swap.s(1, "ends in a group") | note.s(2),
    "replaced twice": swap.s(1, "again") | note.s(2),
    "replaced in a header": chord([swap.s(1, "group"), note.s(2), swap.s(3, "chain")], note.s()),
    "replaced body": chord([note.s(1)], swap.s("group")),
    "grown": chord([grow.s(0), note.s(1)], note.s()),
    "grown later": chord([later.s("task"), note.s(1)], note.s()),
    "grown later by a chain": chord([later.s("chain"), note.s(1)], note.s()),
    "grown later by what ends in a group": chord([later.s("others"), note.s(1)], note.s()),
    "grown later by several": chord([later.s("group"), note.s(1)], note.s()),
    "stamps of what replaces": (note.s() | swap.s("stamps")).stamp(by="ada", of=[1, 2]),
    "built in": signature("umbel.chain", kwargs={"tasks": [note.s(1), note.s(2)]}, app=canvas_app.app),
    "accumulate": signature("umbel.accumulate", (1, 2), app=canvas_app.app),
}


def test_a_worker_makes_of_each_workflow_what_apply_makes_of_it(app: Umbel) -> None:
    results = {name: sig.apply_async() for name, sig in CASES.items()}
    got = {name: result.get(timeout=SECONDS) for name, result in results.items()}
    assert got == {name: sig.apply().get() for name, sig in CASES.items()}


def _random(rng: random.Random, depth: int) -> Any:
    kind = rng.choice(["chain", "group", "chord", "pipe"]) if depth and rng.random() < 0.8 else "task"
    if kind == "task":
        return note.signature([rng.randrange(100)], immutable=rng.random() < 0.15)
    if kind == "pipe":
        return _random(rng, depth - 1) | _random(rng, depth - 1)
    parts = [_random(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    return chord(parts, _random(rng, depth - 1)) if kind == "chord" else {"chain": chain, "group": group}[kind](parts)


def test_workflows_at_random(app: Umbel) -> None:
    seed = random.randrange(10**6)
    sigs = [_random(random.Random(seed + number), 3) for number in range(40)]
    results = [sig.apply_async() for sig in sigs]
    for number, (sig, result) in enumerate(zip(sigs, results, strict=True)):
        assert result.get(timeout=SECONDS) == sig.apply().get(), f"seed {seed + number}: {sig!r}"


def test_a_failing_step_ends_a_chain_and_calls_errbacks_in_both_styles(app: Umbel, tmp_path: Path) -> None:
    broken = chain(note.s(1), fail.s().set(task_id=f"bad-{id(app)}"), note.s(2), note.s(3))
    broken.link_error(told.s())
    broken.link_error(told_more.s())
    broken.link(called.s("never"))
    result = broken.delay()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=SECONDS)
    assert result.parent.parent.state == states.FAILURE
    assert result.parent.parent.parent.get(timeout=SECONDS) == [1]
    bad = f"bad-{id(app)}"
    until(lambda: runs(tmp_path / "ledger", "told") == [bad], "the errback with the id has run")
    until(lambda: runs(tmp_path / "ledger", "told-more") == [f"{bad} ValueError('no')"], "the other one has run")
    assert runs(tmp_path / "ledger", "called") == []


def test_a_failing_header_fails_the_body(app: Umbel, tmp_path: Path) -> None:
    body = note.s().on_error(told.s())
    result = chord([note.s(1), fail.s().set(task_id=f"bad-{id(app)}"), note.s(2)], body).delay()
    until(lambda: result.ready(), "the body has failed", SECONDS)
    assert isinstance(result.result, ChordError)
    assert str(result.result) == f"Dependency bad-{id(app)} raised ValueError('no')"
    until(lambda: runs(tmp_path / "ledger", "told") == [result.id], "the body's errback has run")
    assert [result.parent.results[at].get(timeout=SECONDS) for at in (0, 2)] == [[1], [2]]

    replaced = chord([note.s(1), swap.s(1, "fail")], note.s()).delay()
    until(lambda: replaced.ready(), "a replaced member has failed the body", SECONDS)
    assert "swapped" in str(replaced.result)


def test_callbacks_get_the_result_and_follow_a_retry(app: Umbel, tmp_path: Path) -> None:
    sig = flaky.s(7, 1)
    sig.link(called.s("one"))
    sig.link(called.si("alone", "two"))
    assert sig.delay().get(timeout=SECONDS) == 7
    several = group(note.s(1), note.s(2))
    several.link(called.si("first", "three"))
    assert several.delay().get(timeout=SECONDS) == [[1], [2]]
    assert (note.s(1) | note.s(2)).apply_async(link=called.s("four")).get(timeout=SECONDS) == [[1], 2]
    assert note.apply_async((5,), link=[called.s("five")]).get(timeout=SECONDS) == [5]
    expected = {"one 7", "two alone", "three first", "four [[1], 2]", "five [5]"}
    until(lambda: set(runs(tmp_path / "ledger", "called")) == expected, "all callbacks have run")


def test_ids_are_those_that_freezing_gave(app: Umbel) -> None:
    several = chain(lineage.s(), lineage.s(), lineage.s())
    frozen = several.freeze()
    result = several.delay()
    first, second, third = (task.id for task in several.tasks)
    assert (frozen.id, result.id) == (third, third)
    assert result.get(timeout=SECONDS) == [first, second, third]
    assert frozen.parent.get(timeout=SECONDS) == [first, first, second]
    gathered = chord([note.s(1), note.s(2)], note.s())
    frozen = gathered.freeze()
    assert gathered.delay().id == frozen.id
    assert frozen.get(timeout=SECONDS) == [[[1], [2]]]
    assert isinstance(frozen.parent, GroupResult)
    assert frozen.parent.get(timeout=SECONDS) == [[1], [2]]


def test_small_words(app: Umbel) -> None:
    assert chain().delay() is None  # type: ignore[func-returns-value]
    assert group().delay().get(timeout=SECONDS) == []
    assert ~(add.s(1, 2) | add.s(3)) == 6
    assert chord([note.s(1)])(note.s()).get(timeout=SECONDS) == [[[1]]]
    assert group(note.s(1), note.s(2))("x").get(timeout=SECONDS) == [["x", 1], ["x", 2]]
    assert group(note.s(1), note.s(2)).skew(0.0, step=0.1).delay().get(timeout=SECONDS) == [[1], [2]]
    inner = canvas_app.run.delay((note.s(1) | note.s(2)).plain()).get(timeout=SECONDS)
    assert app.AsyncResult(inner).get(timeout=SECONDS) == [[1], 2]
    assert app.send_task(note.name, (1,), link=[]).get(timeout=SECONDS) == [1]


def test_what_bears_a_stamp_is_revoked_together(app: Umbel, tmp_path: Path) -> None:
    mine, others = f"mine-{id(app)}", f"others-{id(app)}"
    slow = canvas_app.wait_for.s(str(tmp_path / "go"))
    running = slow.clone().stamp(by=mine).delay()
    until(lambda: runs(tmp_path / "ledger", "waits"), "the first task runs", SECONDS)
    queued = (note.s(1).set(countdown=4) | note.s(2)).stamp(by=[mine, "x"]).delay()
    spared = note.s(1).stamp(by=others).set(countdown=4).delay()
    app.control.revoke_by_stamped_headers({"by": mine}, terminate=True)
    until(lambda: all(one.ready() for one in (running, queued, queued.parent)), "they have ended", SECONDS)
    assert [running.state, queued.parent.state, queued.state] == [states.REVOKED] * 3
    assert spared.get(timeout=SECONDS) == [1]
    late = note.s(1).stamp(by=mine).delay()
    until(late.ready, "the late one has ended", SECONDS)
    assert late.state == states.REVOKED
    spared.revoke_by_stamped_headers({"by": [others]})


def test_a_header_can_grow_while_it_runs(app: Umbel) -> None:
    (values,) = chord([grow.s(3), note.s("x")], note.s()).delay().get(timeout=SECONDS)
    assert values[:2] == [3, ["x"]]
    assert sorted(values[2:]) == [0, 1, 2]


def test_what_was_added_to_a_header_may_be_sent_by_another_task(app: Umbel) -> None:
    result = chord([later.s("by another"), note.s(1)], note.s()).delay()
    assert result.get(timeout=SECONDS) == [["by another", [1], ["late"]]]


def test_what_was_added_to_a_header_is_sent_by_itself(app: Umbel) -> None:
    for task in (canvas_app.piped, canvas_app.swaps_late):
        member = task.s().set(task_id=f"{task.name}-1")
        result = chord([member, note.s(1)], note.s()).delay()
        with pytest.raises(ChordError, match="added to a chord"):
            result.get(timeout=SECONDS, follow_parents=False)


def test_a_task_that_is_ignored_ends_what_it_belongs_to(app: Umbel) -> None:
    sigs = (chain(note.s(1), canvas_app.ignored.s(), note.s(2)), chord([note.s(1), canvas_app.ignored.s()], note.s()))
    for result, here in [(sig.delay(), sig.apply()) for sig in sigs]:
        until(result.ready, "it has ended", SECONDS)
        assert result.state == here.state
        assert type(result.result) is type(here.result)
