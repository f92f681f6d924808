"""What belongs to a result, as a graph, and how it is drawn."""

from __future__ import annotations

import uuid
import xml.dom.minidom
from collections.abc import Iterator

import pytest

from umbel import Umbel, context, states
from umbel.record import Record
from umbel.result.drawing import DRAWINGS
from umbel.result.graph import ResultGraph, Spot


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        app.task(name="add")(lambda x, y: x + y)
        app.task(name="total")(sum)
        yield app


def store(app: Umbel, task_id: str, state: str, **meta: object) -> None:
    app.results.store(task_id, Record(state, b"1", 0, 1_700_000_000_000, meta), 60)


def test_a_task_and_what_it_sent(app: Umbel) -> None:
    store(app, "1", states.SUCCESS, name="shop.begin", children=["2", "3"])
    store(app, "2", states.SUCCESS, name="shop.two", children=["4"])
    graph = app.AsyncResult("1").graph
    assert (len(graph), list(graph)) == (4, ["1", "2", "3", "4"])
    assert graph.edges == [("1", "2"), ("1", "3"), ("2", "4")]
    assert (graph.spots["1"].label, graph.spots["3"].state) == ("shop.begin SUCCESS", "PENDING")
    assert graph.topsort().index("2") < graph.topsort().index("4")


def test_a_workflow_as_it_stands(app: Umbel) -> None:
    add, total = app.tasks["add"], app.tasks["total"]
    from umbel import chain, chord  # type: ignore[attr-defined]

    result = chain(chord([add.s(1, 2), add.s(3, 4)], total.s()), add.s(5)).apply_async()
    graph = result.graph
    assert sorted(spot.name for spot in graph.spots.values()) == ["add", "add", "add", "total"]
    assert {spot.state for spot in graph.spots.values()} == {"PENDING"}
    assert len(graph.edges) == 3
    assert graph.topsort()[-1] == result.id
    assert len(graph.roots()) == 2


def test_a_large_header_is_one_spot(app: Umbel) -> None:
    from umbel import chord  # type: ignore[attr-defined]

    add, total = app.tasks["add"], app.tasks["total"]
    graph = chord([add.s(n, 1) for n in range(60)], total.s()).apply_async().graph
    seen = {spot.name: spot.state for spot in graph.spots.values()}
    assert seen == {"add": "PENDING", "59 × add": "0 done", "total": "PENDING"}


@pytest.fixture
def diamond() -> ResultGraph:
    graph = ResultGraph()
    for task_id, name, state in (
        ("a", "first", "SUCCESS"),
        ("b", 'say "<b>"', "FAILURE"),
        ("c", "c", "REVOKED"),
        ("d", "", "PENDING"),
    ):
        graph.add(Spot(task_id, name, state, 0.125 if task_id == "a" else None))
    for edge in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "b")):
        graph.connect(*edge)
    return graph


def test_a_tree_shows_each_task_once_with_what_follows(diamond: ResultGraph) -> None:
    assert DRAWINGS["tree"](diamond).splitlines() == [
        "first SUCCESS 0.125 s  a",
        '  say "<b>" FAILURE  b',
        "    d PENDING  d",
        "  c REVOKED  c",
        "    d PENDING  d  (see above)",
    ]


def test_mermaid_and_dot(diamond: ResultGraph) -> None:
    mermaid = DRAWINGS["mermaid"](diamond)
    assert mermaid.startswith("flowchart TD\n")
    assert '  n1["say #quot;<b>#quot; FAILURE"]' in mermaid
    assert mermaid.count("-->") == 4
    dot = DRAWINGS["dot"](diamond)
    assert dot.startswith("digraph")
    assert dot.count("->") == 4


def test_a_picture_is_well_formed(diamond: ResultGraph) -> None:
    picture = xml.dom.minidom.parseString(DRAWINGS["svg"](diamond))
    assert len(picture.getElementsByTagName("rect")) == 4
    assert len(picture.getElementsByTagName("line")) == 4
    assert len(xml.dom.minidom.parseString(DRAWINGS["svg"](ResultGraph())).getElementsByTagName("rect")) == 0
