"""The store of workflows: ends are noted once, joins fill by place, failures spread, and each step may be repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import ids, outgoing, take
from tests.conformance.waiting import until

from umbel.broker.base import Broker, Consumer
from umbel.errors import QueueClosed
from umbel.workflow.base import FAILED, REVOKED, SUCCEEDED, Due, Ending, Gathered, Step, Workflows
from umbel.workflow.graph import Graph, Join, Members, Node, Template, read_template
from umbel.workflow.ids import new_workflow_id, node_id

Consumers = Callable[..., Consumer]


@pytest.fixture
def store(broker: Broker) -> Workflows:
    return broker.workflows


def node(
    number: int, *outs: str, fail: int | None = None, errbacks: tuple[int, ...] = (), drop: int | None = None
) -> Node:
    return Node(Template(f"task-{number}", "q", b"payload"), outs, fail, errbacks, drop)


def stored(store: Workflows, graph: Graph, *, ttl: float = 60.0, keep: float = 30.0) -> str:
    graph.size = graph.size or len(graph.nodes)
    graph.entries = graph.entries or 1
    assert store.create(graph, ttl=ttl, keep=keep)
    return graph.workflow


def chained(store: Workflows, length: int = 3, **options: float) -> str:
    """A chain 0 → 1 → …, whose last node is the exit."""
    graph = Graph(new_workflow_id(), exits=(f"x{length - 1}",), fails=[(f"x{length - 1}",)])
    for number in range(length - 1):
        graph.nodes[number] = node(number, f"n{number + 1}", fail=0, drop=number - 1 if number else None)
    graph.nodes[length - 1] = node(length - 1, drop=length - 2)
    return stored(store, graph, **options)


def joined(store: Workflows, size: int = 3, *, errbacks: tuple[tuple[int, int], ...] = (), **options: float) -> str:
    """A header of members without rows, and its body, node 0."""
    graph = Graph(new_workflow_id(), exits=("x0",), fails=[("x0",)], entries=size, size=size + 1 + len(errbacks))
    graph.nodes[0] = node(0)
    for errback, _ in errbacks:
        graph.nodes[errback] = node(errback)
    graph.joins.append(Join(size, ("n0",), 0, errbacks))
    graph.members.append(Members(1 + len(errbacks), size, 0, 0, "t"))
    return stored(store, graph, **options)


def end(store: Workflows, workflow: str, number: int, value: bytes = b"1", kind: str = SUCCEEDED) -> Step:
    step = store.end(workflow, Ending(number, kind, value))
    assert step is not None
    return step


def member(
    store: Workflows, workflow: str, place: int, value: bytes = b"1", kind: str = SUCCEEDED, *, first: int = 1
) -> Step:
    step = store.end(workflow, Ending(first + place, kind, value, (0, place)))
    assert step is not None
    return step


def test_a_step_of_a_chain_makes_the_next_one_due_with_its_value(store: Workflows) -> None:
    workflow = chained(store)
    step = end(store, workflow, 0, b'"a"')
    assert (step.due, step.value, step.over, step.told) == ([Due(1, 1, "v")], b'"a"', False, [])


def test_the_last_step_ends_the_workflow(store: Workflows) -> None:
    workflow = chained(store, 2, keep=0.0)
    end(store, workflow, 0)
    step = end(store, workflow, 1)
    assert step.over
    assert not step.due
    assert store.end(workflow, Ending(1, SUCCEEDED)) is None
    assert store.look(workflow) is None


def test_a_step_that_is_repeated_is_answered_alike(store: Workflows) -> None:
    workflow = chained(store)
    assert end(store, workflow, 0) == end(store, workflow, 0)


def test_the_first_end_counts(store: Workflows) -> None:
    workflow = chained(store)
    end(store, workflow, 0, b'"first"')
    again = end(store, workflow, 0, b'"second"')
    assert again.value == b'"first"'
    assert end(store, workflow, 0, b"why", FAILED).kind == SUCCEEDED


def test_a_node_that_has_ended_is_not_due_again(store: Workflows) -> None:
    workflow = chained(store)
    end(store, workflow, 0)
    end(store, workflow, 1)
    assert end(store, workflow, 0).due == []


def test_a_join_fires_with_its_last_place_only(store: Workflows) -> None:
    workflow = joined(store)
    assert member(store, workflow, 2, b"30").due == []
    assert member(store, workflow, 0, b"10").due == []
    step = member(store, workflow, 1, b"20")
    assert step.due == [Due(0, 0, "j")]
    assert store.values(workflow, 0) == Gathered([b"10", b"20", b"30"])


def test_a_join_says_how_its_values_are_nested(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), exits=("x0",), fails=[("x0",)], entries=3, size=4)
    graph.nodes[0] = node(0)
    graph.joins.append(Join(3, ("n0",), 0, nested=[[2], 1]))
    graph.members.append(Members(1, 3, 0, 0, "t"))
    found = store.values(stored(store, graph), 0)
    assert found is not None
    assert found.nested == b"[[2],1]"


def test_a_member_that_ends_twice_fills_one_place(store: Workflows) -> None:
    workflow = joined(store)
    for _ in range(3):
        assert member(store, workflow, 0, b"10").due == []
    member(store, workflow, 0, b"other")
    member(store, workflow, 1)
    assert member(store, workflow, 2).due == [Due(0, 0, "j")]
    assert store.values(workflow, 0) == Gathered([b"10", b"1", b"1"])


def test_the_last_member_may_repeat_its_step(store: Workflows) -> None:
    workflow = joined(store, 2)
    member(store, workflow, 0)
    assert member(store, workflow, 1).due == member(store, workflow, 1).due == [Due(0, 0, "j")]
    assert end(store, workflow, 0).over


def test_a_failure_in_a_chain_goes_to_its_exit_at_once(store: Workflows) -> None:
    workflow = chained(store, 5)
    step = end(store, workflow, 0, b"why", FAILED)
    assert (step.told, step.due, step.over) == ([(4, 4, False)], [], False)
    assert store.failure(workflow, 0) == b"why"


def test_nobody_closes_a_workflow_before_those_who_wait_were_told(store: Workflows) -> None:
    workflow = joined(store, 2, keep=0.0)
    failed = member(store, workflow, 0, b"why", FAILED)
    assert not member(store, workflow, 1).over
    store.close(workflow)
    assert member(store, workflow, 0, b"why", FAILED) == failed
    store.close(workflow, "1")
    assert store.look(workflow) is None


def test_the_first_member_that_fails_fails_the_body(store: Workflows) -> None:
    workflow = joined(store, 3, errbacks=((1, 0),))
    step = member(store, workflow, 1, b"why", FAILED, first=2)
    assert (step.told, step.due, step.over) == ([(0, 0, True)], [Due(1, 1, "e0")], False)
    assert member(store, workflow, 0, first=2).due == []
    assert member(store, workflow, 2, b"later", FAILED, first=2).told == []
    repeated = member(store, workflow, 1, b"why", FAILED, first=2)
    assert (repeated.told, repeated.due) == (step.told, step.due)
    store.close(workflow, "3")
    assert end(store, workflow, 1).over


def test_errbacks_are_due_for_failures_only(store: Workflows) -> None:
    for kind, due in ((FAILED, [Due(1, 1, "e")]), (REVOKED, [])):
        graph = Graph(new_workflow_id(), exits=("x0",))
        graph.nodes = {0: node(0, errbacks=(1,)), 1: node(1)}
        workflow = stored(store, graph)
        assert end(store, workflow, 0, b"why", kind).due == due


def test_a_failure_goes_through_joins_to_the_outermost(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), exits=("x0",), fails=[("x0",), ("j0",)], entries=2, size=4)
    graph.nodes = {0: node(0), 1: node(1, "j0:0", fail=1)}
    graph.joins = [Join(1, ("n0",), 0), Join(2, ("n1",), 1)]
    workflow = stored(store, graph)
    step = store.end(workflow, Ending(2, FAILED, b"why", (1, 0)))
    assert step is not None
    assert step.told == [(0, 0, True)]


def test_nodes_in_a_row_are_due_together(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), exits=("x1-3",))
    graph.nodes = {0: node(0, "n1-3")} | {number: node(number) for number in (1, 2, 3)}
    workflow = stored(store, graph)
    assert end(store, workflow, 0).due == [Due(1, 3, "v")]
    assert [end(store, workflow, number).over for number in (3, 1, 2)] == [False, False, True]


def test_each_node_is_published_once(broker: Broker, store: Workflows, consumers: Consumers) -> None:
    workflow = chained(store)
    for _ in range(3):
        store.publish(workflow, "q", 60.0, [(1, outgoing("one")), (2, outgoing("two"))])
    store.publish(workflow, "q", 60.0, [(2, outgoing("two")), (0, outgoing("zero"))])
    assert ids(take(consumers(), "q")) == ["one", "two", "zero"]


def test_published_nodes_keep_delay_priority_and_group(broker: Broker, store: Workflows, consumers: Consumers) -> None:
    workflow = chained(store)
    sent = [
        outgoing("late", delay=60.0),
        outgoing("low", priority=1),
        outgoing("high", priority=9),
        outgoing("g", group="g"),
    ]
    store.publish(workflow, "q", 60.0, list(enumerate(sent)))
    assert broker.info("q").delayed == 1
    assert ids(take(consumers(), "q")) == ["high", "g", "low"]
    broker.purge("q")


def test_nothing_is_published_to_a_closed_queue(broker: Broker, store: Workflows) -> None:
    broker.configure("q", {"intake": "Reject"}, 1)
    with pytest.raises(QueueClosed, match="intake"):
        store.publish(chained(store), "q", 60.0, [(1, outgoing("one"))])


def test_a_full_queue_takes_what_follows(broker: Broker, store: Workflows) -> None:
    broker.configure("q", {"max_length": 1}, 1)
    broker.publish("q", [outgoing("there")])
    store.publish(chained(store), "q", 60.0, [(1, outgoing("one"))])
    assert broker.info("q").ready == 2


def test_a_join_grows_while_it_waits(store: Workflows) -> None:
    workflow = joined(store, 1)
    added = store.grow(workflow, 0, "token")
    assert added == (2, 1)
    assert store.grow(workflow, 0, "token") == added
    assert store.grow(workflow, 0, "other") == (3, 2)
    assert member(store, workflow, 0).due == []
    assert member(store, workflow, 1).due == []
    assert member(store, workflow, 2).due == [Due(0, 0, "j")]
    assert store.grow(workflow, 0, "late") is None
    assert store.values(workflow, 0) == Gathered([b"1", b"1", b"1"])


def test_after_a_revocation_nothing_follows(store: Workflows) -> None:
    workflow = chained(store)
    assert store.revoke(workflow) == [(2, 2)]
    assert store.revoke(workflow) == [(2, 2)]
    step = end(store, workflow, 0)
    assert (step.due, step.told, step.over) == ([], [], False)
    assert store.revoke(workflow) == [(2, 2)]
    store.close(workflow, "r")
    assert store.revoke(workflow) is None


def test_an_exit_that_has_ended_is_not_told_of_a_revocation(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), exits=("x0", "x2"), entries=2)
    graph.nodes = {0: node(0), 1: node(1), 2: node(2)}
    workflow = stored(store, graph)
    end(store, workflow, 0)
    assert store.revoke(workflow) == [(2, 2)]


def test_a_workflow_is_closed_when_it_is_over_only(store: Workflows) -> None:
    workflow = chained(store, keep=0.0)
    store.close(workflow)
    assert store.look(workflow) is not None
    end(store, workflow, 0, b"why", FAILED)
    store.close(workflow)
    assert store.look(workflow) is not None
    store.close(workflow, "0")
    assert store.look(workflow) is None


def test_a_workflow_that_ended_can_be_looked_at_and_does_nothing(store: Workflows) -> None:
    workflow = joined(store, 1)
    member(store, workflow, 0)
    end(store, workflow, 0, b"2")
    seen = store.look(workflow)
    assert seen is not None
    assert seen.states["e0"].startswith("S")
    assert store.end(workflow, Ending(0, SUCCEEDED)) is None
    assert store.revoke(workflow) is None


def test_what_is_seen_tells_what_has_ended(store: Workflows) -> None:
    workflow = joined(store)
    member(store, workflow, 2)
    member(store, workflow, 0, b"why", FAILED)
    seen = store.look(workflow)
    assert seen is not None
    assert seen.filled == {(0, 2)}
    assert seen.states["e1"].startswith("F")
    assert seen.states["d0"] == "1"


def test_rows_give_the_templates_back(store: Workflows) -> None:
    workflow = chained(store)
    rows = store.rows(workflow, [1, 9])
    assert rows[1] is None
    assert rows[0] is not None
    assert read_template(rows[0]) == Template("task-1", "q", b"payload")


def test_ids_lead_to_the_workflow(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), nodes={0: node(0)}, ids={"my-own": 0})
    workflow = stored(store, graph)
    seventh, stranger = node_id(workflow, 7), node_id(new_workflow_id(), 7)
    assert store.find([seventh, "my-own", stranger, "unknown"]) == {seventh: (workflow, 7), "my-own": (workflow, 0)}


def test_a_dropped_workflow_is_gone(store: Workflows) -> None:
    workflow = chained(store)
    store.drop(workflow)
    assert store.end(workflow, Ending(0, SUCCEEDED)) is None


def test_a_workflow_without_a_step_is_forgotten(store: Workflows) -> None:
    workflow = chained(store, ttl=0.3)
    until(lambda: store.look(workflow) is None)


def test_creating_again_changes_nothing_of_what_has_become_of_it(store: Workflows) -> None:
    graph = Graph(new_workflow_id(), nodes={0: node(0, "n1"), 1: node(1)}, size=2, entries=1)
    stored(store, graph)
    end(store, graph.workflow, 0)
    assert not store.create(graph, ttl=60.0, keep=30.0)
    assert end(store, graph.workflow, 1).over
