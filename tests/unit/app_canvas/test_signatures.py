"""Signatures: what they hold, how they are completed, linked, frozen and shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import (
    AsyncResult,
    GroupResult,
    Signature,
    Task,
    Umbel,
    chain,
    chord,
    chunks,
    group,
    maybe_signature,
    signature,
    xmap,
    xstarmap,
)


@pytest.fixture
def add(app: Umbel) -> Task[[int, int], int]:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return add


PLAIN = {"task": "add", "args": [1], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


def test_a_signature_has_the_keys_of_celerys(add: Task[..., int]) -> None:
    sig = add.signature((1,), {"y": 2}, countdown=3)
    assert json.loads(json.dumps(sig)) == {**PLAIN, "kwargs": {"y": 2}, "options": {"countdown": 3}}
    assert (sig.task, sig.name, sig.args, sig.kwargs, sig.options) == ("add", "add", (1,), {"y": 2}, {"countdown": 3})
    assert sig.type is add
    assert sig.app is add.app
    assert json.loads(json.dumps(add.s(1) | add.s(2))) == {
        **PLAIN,
        "task": "umbel.chain",
        "args": [],
        "kwargs": {"tasks": [PLAIN, {**PLAIN, "args": [2]}]},
        "subtask_type": "chain",
    }


@pytest.mark.parametrize("kind", ["chain", "group", "chord", "xmap", "xstarmap", "chunks"])
def test_workflows_of_celerys_names_are_understood(app: Umbel, add: Task[..., int], kind: str) -> None:
    made: dict[str, Signature[Any]] = {
        "chain": chain(add.s(1, 2), add.s(3)),
        "group": group(add.s(1, 2)),
        "chord": chord([add.s(1, 2)], add.s(3)),
        "xmap": add.map([1]),
        "xstarmap": add.starmap([[1, 2]]),
        "chunks": add.chunks([[1, 2]], 1),
    }
    ours = made[kind]
    theirs = json.loads(json.dumps(ours).replace("umbel.", "celery."))
    assert ours.subtask_type == kind
    assert signature(theirs) == ours
    assert type(signature(theirs)) is type(ours)
    assert app.signature(theirs).app is app


def test_what_is_no_signature_is_refused_with_what_one_is() -> None:
    for wrong in ({}, {"task": 3}, {"task": "add", "args": "12"}, {"task": "add", "kwargs": []}):
        with pytest.raises(TypeError, match="a signature is a dict with task"):
            signature(wrong)
    with pytest.raises(TypeError, match="not of 3"):
        signature(3)
    with pytest.raises(TypeError, match=r"write task\.s"):
        group([3])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not of 3"):
        group(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unsupported operand"):
        signature("add") | 3  # type: ignore[operator]
    assert maybe_signature(None) is None


def test_a_call_completes_a_partial_signature(add: Task[..., int]) -> None:
    sig = add.s(1, z=1).set(queue="a")
    whole = sig.clone((0,), {"z": 2, "w": 3}, queue="b")
    assert (whole.args, whole.kwargs, whole.options) == ((0, 1), {"z": 2, "w": 3}, {"queue": "b"})
    fixed = sig.set(immutable=True).clone((0,), {"z": 2}, countdown=3)
    assert (fixed.args, fixed.kwargs, fixed.options) == ((1,), {"z": 1}, {"queue": "a", "countdown": 3})
    assert add.si(1).immutable
    assert sig.replace(args=[7], kwargs={}, options={}) == {**add.si(7)}
    assert sig.args == (1,)
    assert add.s(1)(2) == 3


def test_a_signature_keeps_what_it_belongs_to(add: Task[..., int]) -> None:
    sig = add.s().set(group_id="g", stamped_headers=["by"], by="ada")
    options = sig.clone((), {}, group_id="other", stamped_headers=[], by="bob", queue="q").options
    assert options == {"group_id": "g", "stamped_headers": ["by"], "by": "ada", "queue": "q"}


def test_links_are_kept_once_and_flattened(add: Task[..., int]) -> None:
    sig, after, later = add.s(1), add.s(2), add.s(3)
    after.link(later)
    assert sig.link(after) is after
    sig.link(add.s(2).set(link=[later]))
    assert sig.options["link"] == [after]
    assert sig.flatten_links() == [sig, after, later]
    assert signature(json.loads(json.dumps(sig))).flatten_links() == [sig, after, later]
    assert sig.on_error(later) is sig
    assert sig.options["link_error"] == [later]


def test_links_of_a_workflow_belong_to_its_parts(app: Umbel, add: Task[..., int]) -> None:
    from umbel.canvas import completed

    cb, eb = add.s(10), add.s(20)
    whole = completed(add.s(1) | add.s(2), (), {}, {"link": cb, "link_error": eb, "queue": "q", "task_id": "last"})
    first, last = whole.kwargs["tasks"]
    assert first.options == {"queue": "q", "link_error": [eb]}
    assert last.options == {"task_id": "last", "link": [cb], "link_error": [eb]}

    both = group(add.s(1), add.s(2))
    assert both.link(cb) == {**cb, "immutable": True}
    assert both.link_error(eb) == (eb, eb)
    assert both.tasks[0].options == {"link": [{**cb, "immutable": True}], "link_error": [eb]}
    assert both.tasks[1].options == {"link_error": [eb]}
    for option in ("link", "link_error"):
        with pytest.raises(TypeError, match=f"cannot be sent with {option}="):
            both.apply_async((), {}, **{option: cb})

    inner = chord([add.s(2)], add.s(3))
    gathered = chord([add.s(1), inner], add.s(4))
    gathered.link(cb)
    gathered.link_error(eb)
    assert gathered.body.options == {"link": [cb], "link_error": [eb]}
    assert gathered.tasks[0].options == {}
    assert inner.body.options == {"link_error": [eb]}
    app.conf.task_allow_error_cb_on_chord_header = True
    everywhere = chord([add.s(1)], add.s(4))
    everywhere.link_error(eb)
    assert everywhere.tasks[0].options == {"link_error": [{**eb, "immutable": True}]}


def test_options_of_a_chord_belong_to_header_and_body(add: Task[..., int]) -> None:
    from umbel.canvas import completed

    sig = chord([add.s(1)], add.s(2), queue="own").clone((9,))
    whole = completed(sig, (8,), {"y": 1}, {"priority": 3, "countdown": 5, "task_id": "b"})
    (member,), body = whole.kwargs["header"], whole.kwargs["body"]
    assert (member.args, member.kwargs) == ((8, 9, 1), {"y": 1})
    assert member.options == {"queue": "own", "priority": 3, "countdown": 5}
    assert (body.args, body.options) == ((2,), {"priority": 3, "task_id": "b"})
    for nothing in (None, chain()):
        with pytest.raises(TypeError, match="has no body"):
            completed(chord([add.s(1)], nothing))


def test_freezing_gives_ids_and_results_before_anything_is_sent(add: Task[..., int]) -> None:
    one = add.s(1)
    result = one.freeze("mine", group_id="g", root_id="r", parent_id="p", group_index=2)
    assert isinstance(result, AsyncResult)
    assert (one.id, one.root_id, one.parent_id, one.options["group_id"]) == ("mine", "r", "p", "g")
    assert one.freeze("other").id == "mine"

    several = chain(add.s(1), add.s(2), add.s(3))
    last = several.freeze("last")
    ids = [task.id for task in several.tasks]
    assert [last.parent.parent.id, last.parent.id, last.id] == ids
    assert last.parent.parent.parent is None

    nested = group(add.s(1), group(add.s(2), add.s(3)), add.s(4) | add.s(5))
    whole = nested.freeze()
    assert isinstance(whole, GroupResult)
    assert whole.id == nested.id
    assert [result.id for result in whole] == [(task.kwargs.get("tasks") or [task])[-1].id for task in nested.tasks]
    assert [task.options.get("group_index") for task in nested.tasks] == [0, 1, 2, None]

    gathered = chord([add.s(1), add.s(2)], add.s(3) | add.s(4))
    end = gathered.freeze("end")
    assert end.id == "end"
    assert isinstance(end.parent.parent, GroupResult)
    with pytest.raises(ValueError, match="empty chain"):
        chain().freeze()


def test_a_generator_is_read_only_as_far_as_somebody_looks(add: Task[..., int]) -> None:
    read: list[int] = []

    def sigs() -> Iterator[Signature[int]]:
        for i in itertools.count():
            read.append(i)
            yield add.s(i)

    endless = group(sigs())
    stamped = endless.clone().stamp(by="ada").set(queue="q")
    assert read == []
    assert (endless.tasks[1], stamped.tasks[2].options["by"]) == (add.s(1), "ada")
    assert read == [0, 1, 2]
    assert endless.app is add.app

    few = chord((add.s(i) for i in range(3)), add.s())
    assert json.loads(json.dumps(few)) == json.loads(json.dumps(chord([add.s(0), add.s(1), add.s(2)], add.s())))
    assert few.__length_hint__() == 3


def test_a_group_is_like_a_list_of_its_members(add: Task[..., int]) -> None:
    three = group(add.s(i) for i in range(3))
    assert len(three) == 3
    assert three
    assert not group()
    assert [task.options["countdown"] for task in three.skew(1, 2).tasks] == [1, 2, 2]
    assert [task.options["countdown"] for task in three.skew(step=3).tasks] == [1, 4, 7]
    three.set_immutable(True)
    assert all(task.immutable for task in three.tasks)
    assert group(three) == three
    assert group(add.s(1)) == group([add.s(1)])


def test_signatures_are_shown_as_calls(add: Task[..., int]) -> None:
    assert repr(add.s(1, y=2)) == "add(1, y=2)"
    assert add.s(1).reprcall(0, z=3) == "add(0, 1, z=3)"
    assert repr(add.s(1) | add.s(2)) == "add(1) | add(2)"
    assert repr(group(add.s(1), add.s(2))) == "group([add(1), add(2)])"
    assert repr(group([add.s(1), add.s(2)]) | add.s(3)) == "chord([add(1), add(2)], add(3))"
    assert (repr(chain()), repr(group())) == ("<chain: empty>", "group(<empty>)")
    assert repr(xmap(add, range(3))) == "[add(x) for x in [0, 1, 2]]"
    assert repr(xstarmap(add, [(1, 2)])) == "[add(*x) for x in [(1, 2)]]"
    assert len(repr(xmap(add, range(1000)))) < 140
    assert isinstance(chunks(add, [(1, 2)], 1).group(), group)


def test_a_map_goes_where_its_task_goes(app: Umbel) -> None:
    from umbel.canvas import completed

    @app.task(name="slow", queue="slow", priority=2)
    def slow(x: int) -> int:
        return x

    app.conf.task_routes = {"other": "elsewhere"}
    sent = completed(slow.map([1, 2]))
    assert (sent.task, sent.kwargs) == ("umbel.map", {"task": json.loads(json.dumps(slow.s())), "it": [1, 2]})
    assert (sent.options["queue"], sent.options["priority"]) == ("slow", 2)
    assert completed(xmap(app.signature("other"), [1])).options["queue"] == "elsewhere"
    assert completed(slow.map([1]).set(queue="mine")).options["queue"] == "mine"
    assert {task.options["queue"] for task in completed(slow.chunks([(1,), (2,)], 1)).kwargs["tasks"]} == {"slow"}
