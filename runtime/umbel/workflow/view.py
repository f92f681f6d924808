"""A workflow as it can be looked at: its tasks with their states and times, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from umbel import message as messages
from umbel import states
from umbel.workflow.base import Snapshot, places
from umbel.workflow.graph import numbers, read_template
from umbel.workflow.ids import node_id

if TYPE_CHECKING:
    from umbel.app import Umbel

_STATES: Final = {"S": states.SUCCESS, "F": states.FAILURE, "R": states.REVOKED, "I": states.IGNORED}
#: Members of a header that are told of one by one; of a larger one only how many have ended.
MOST_MEMBERS: Final = 50


@dataclass(slots=True)
class NodeView:
    """A task, or many members of a header in one.

    Args:
        key: names it among the nodes: a number, or ``"j<n>"`` for a barrier.
        task: the name of the task; empty for a barrier.
        task_id: its id; empty for what is many, or none.
        state: of `umbel.states`; PENDING also for what runs now.
        queue: that it goes to, as far as is known.
        ended: when, in seconds since the Unix epoch; None if it has not, or nobody noted it.
        runtime: seconds; None likewise.
        count: how many tasks it stands for.
        done: how many of these have ended.
    """

    key: str
    task: str = ""
    task_id: str = ""
    state: str = states.PENDING
    queue: str = ""
    ended: float | None = None
    runtime: float | None = None
    count: int = 1
    done: int = 0


@dataclass(slots=True)
class Edge:
    """That one node follows another. ``kind``: ``then``, ``error`` to an errback."""

    source: str
    target: str
    kind: str = "then"


@dataclass(slots=True)
class WorkflowView:
    """A workflow. ``state`` is RUNNING, ENDED or REVOKED; ``made`` in seconds since the Unix epoch."""

    id: str
    state: str
    made: float
    nodes: dict[str, NodeView] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def roots(self) -> list[str]:
        """Return the nodes that it begins with."""
        targets = {edge.target for edge in self.edges}
        return [key for key in self.nodes if key not in targets]

    def after(self, key: str) -> Iterator[Edge]:
        """Yield what follows a node."""
        return (edge for edge in self.edges if edge.source == key)


def view(app: Umbel, task_id: str) -> WorkflowView | None:
    """Return the workflow that a task belongs to; None if there is none, or it has ended too long ago (``workflow_kept``).

    Raises:
        OperationalError: the broker cannot be reached.
    """
    store = app.broker.workflows
    found = store.find([task_id]).get(task_id)
    if found is None:
        return None
    seen = store.look(found[0])
    return None if seen is None else _view(found[0], seen)


def _view(workflow: str, seen: Snapshot) -> WorkflowView:
    about = orjson.loads(seen.graph["about"])
    state = "REVOKED" if "revoked" in seen.states else "ENDED" if "closed" in seen.states else "RUNNING"
    whole = WorkflowView(workflow, state, float(about.get("made", 0.0)))
    for name, row in seen.graph.items():
        if name.isdecimal():
            whole.nodes[name] = _node(name, row, seen)
    for name, row in seen.graph.items():
        if name.isdecimal():
            outs, _, errbacks, _ = row.partition(b"\n")[0].decode().split("|")
            whole.edges += _edges(name, outs)
            whole.edges += [Edge(name, errback, "error") for errback in errbacks.split()]
        elif name.startswith("j") and name[1:].isdecimal():
            size, outs, _, pairs = row.decode().split("|")
            whole.nodes[name] = _barrier(name, int(size), seen)
            whole.edges += _edges(name, outs)
            whole.edges += [Edge(name, pair.partition("@")[0], "error") for pair in pairs.split()]
    for first, count, join, place, task in places(about):
        _add_members(whole, workflow, seen, first, count, join, place, task)
    return whole


def _node(name: str, row: bytes, seen: Snapshot) -> NodeView:
    template = read_template(row)
    headers = messages.decode(template.payload).headers
    node = NodeView(name, headers["task"], template.task_id, queue=template.queue)
    _ended(node, seen.states.get(f"e{name}"))
    return node


def _ended(node: NodeView, told: str | None) -> None:
    if told:
        when, _, runtime = told[1:].partition(" ")
        node.state, node.done = _STATES.get(told[0], states.PENDING), 1
        node.ended, node.runtime = int(when) / 1000, int(runtime or 0) / 1000


def _barrier(name: str, size: int, seen: Snapshot) -> NodeView:
    join = int(name[1:])
    size += int(seen.states.get(f"g{join}", "0"))
    done = int(seen.states.get(f"c{join}", "0"))
    state = states.FAILURE if f"d{join}" in seen.states else states.SUCCESS if done >= size else states.PENDING
    return NodeView(name, state=state, count=size, done=done)


def _add_members(
    whole: WorkflowView, workflow: str, seen: Snapshot, first: int, count: int, join: int, place: int, task: str
) -> None:
    closed = whole.state == "ENDED"
    if count > MOST_MEMBERS:
        done = count if closed else sum((join, place + index) in seen.filled for index in range(count))
        failed = any(f"e{first + index}" in seen.states for index in range(count))
        state = states.FAILURE if failed else states.SUCCESS if done == count else states.PENDING
        whole.nodes[str(first)] = NodeView(str(first), task, state=state, count=count, done=done)
        whole.edges.append(Edge(str(first), f"j{join}"))
        return
    for index in range(count):
        node = NodeView(str(first + index), task, node_id(workflow, first + index))
        if (join, place + index) in seen.filled or (closed and f"d{join}" not in seen.states):
            node.state, node.done = states.SUCCESS, 1
        _ended(node, seen.states.get(f"e{first + index}"))
        whole.nodes[node.key] = node
        whole.edges.append(Edge(node.key, f"j{join}"))


def _edges(source: str, targets: str) -> list[Edge]:
    edges = [Edge(source, str(node)) for first, last in numbers(targets, "n") for node in range(first, last + 1)]
    edges += [Edge(source, target.partition(":")[0]) for target in targets.split() if target.startswith("j")]
    return edges
