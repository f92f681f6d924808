"""The flat graph of a workflow: nodes (a task each), joins (a barrier each), and where failures go. No behaviour.

The store keeps it in one hash, which the scripts read: change both or neither.

=========== ==================================================================================================
field       value
=========== ==================================================================================================
``<n>``     a node: ``outs|fail|errbacks|drop``, a new line, then what is sent when its turn comes, see `Template`
``j<n>``    a join: ``size|outs|fail|errbacks``
``s<n>``    JSON: how the values of join n lie in the list that its targets get, see `Join`; missing where they lie side by side
``f<n>``    where a failure goes from here: ``targets``
``ttl``     milliseconds that the keys outlive the last step
``keep``    milliseconds that an ended workflow can be looked at
``nodes``   how many node numbers are given
``exits``   ``targets`` whose waiters are told when the workflow is revoked
``queues``  that nodes with a row go to, one a line
``about``   JSON: what only people and Python look at, see `About`
=========== ==================================================================================================

Targets are separated by spaces: ``n5`` a node, ``n5-9`` several in a row, ``j2:7`` place 7 of join 2; in a failure's targets ``x5``
(and ``x5-9``) an exit, whose waiters are told, and ``j2`` a join. A join's errbacks are ``errback@body``; a node's are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

#: How values lie in a list, see `Join`.
Nesting = list[Any]


@dataclass(slots=True)
class Template:
    """A message that waits to be sent.

    Args:
        task_id: of the task.
        queue: that it goes to.
        payload: the encoded message; of an entry of the graph, which is sent at once, without its body.
        delay: seconds from its turn on.
        due: seconds since the Unix epoch before which it does not begin; 0 for none.
        takes: whether it gets what the one before it returned, in front of its own arguments.
    """

    task_id: str
    queue: str
    payload: bytes
    delay: float = 0.0
    due: float = 0.0
    takes: bool = True

    def encode(self) -> bytes:
        """Return the bytes to store."""
        head = f"{self.task_id}\n{self.queue}\n{self.delay:g}\n{self.due:.3f}\n{int(self.takes)}\n"
        return head.encode() + self.payload


@dataclass(slots=True)
class Node:
    """A task. ``outs`` are targets, ``fail`` the number of a list of targets, ``errbacks`` numbers of nodes, ``drop`` the node
    whose value is not needed any more once this one has ended."""

    template: Template
    outs: tuple[str, ...] = ()
    fail: int | None = None
    errbacks: tuple[int, ...] = ()
    drop: int | None = None

    def encode(self) -> bytes:
        """Return the row to store."""
        numbers = " ".join(map(str, self.errbacks))
        head = f"{' '.join(self.outs)}|{_number(self.fail)}|{numbers}|{_number(self.drop)}\n"
        return head.encode() + self.template.encode()


@dataclass(slots=True)
class Join:
    """A barrier: when all places of it are filled, its targets get the list of what is in them. ``errbacks`` are pairs of an
    errback and of the body that it is called for. ``nested`` says how the values lie in the list: a number stands for so many in
    a row, a list for a list of its own; empty for all side by side."""

    size: int = 0
    outs: tuple[str, ...] = ()
    fail: int | None = None
    errbacks: tuple[tuple[int, int], ...] = ()
    nested: Nesting = field(default_factory=list)

    def encode(self) -> bytes:
        """Return the row to store."""
        pairs = " ".join(f"{errback}@{body}" for errback, body in self.errbacks)
        return f"{self.size}|{' '.join(self.outs)}|{_number(self.fail)}|{pairs}".encode()


@dataclass(slots=True)
class Members:
    """Tasks in a row that fill places of a join in a row and are sent with the graph: they have no rows of their own."""

    first: int
    count: int
    join: int
    place: int
    task: str

    def as_list(self) -> list[Any]:
        """Return it as JSON can carry it."""
        return [self.first, self.count, self.join, self.place, self.task]


@dataclass(slots=True)
class Graph:
    """A whole workflow, as it is stored. ``exits`` are failure targets: all whose waiters are told when it is revoked."""

    workflow: str
    nodes: dict[int, Node] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    fails: list[tuple[str, ...]] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    exits: tuple[str, ...] = ()
    entries: int = 0  #: how many nodes are sent with it
    size: int = 0  #: how many node numbers are given
    ids: dict[str, int] = field(default_factory=dict)  #: ids that the user chose
    made: float = 0.0  #: seconds since the Unix epoch

    def rows(self) -> list[tuple[str, bytes]]:
        """Return the fields to store, what Python looks at last."""
        rows = [(str(number), node.encode()) for number, node in self.nodes.items()]
        rows += [(f"j{number}", join.encode()) for number, join in enumerate(self.joins)]
        rows += [(f"s{number}", orjson.dumps(join.nested)) for number, join in enumerate(self.joins) if join.nested]
        rows += [(f"f{number}", " ".join(targets).encode()) for number, targets in enumerate(self.fails)]
        about = {
            "members": [members.as_list() for members in self.members],
            "ids": list(self.ids),
            "made": self.made,
        }
        queues = "\n".join(sorted({node.template.queue for node in self.nodes.values()}))
        rows.append(("queues", queues.encode()))
        return [*rows, ("exits", " ".join(self.exits).encode()), ("about", orjson.dumps(about))]


def read_template(row: bytes) -> Template:
    """Return the template of a node's row."""
    _, task_id, queue, delay, due, takes, payload = row.split(b"\n", 6)
    return Template(task_id.decode(), queue.decode(), payload, float(delay), float(due), takes == b"1")


def numbers(targets: str, kind: str) -> list[tuple[int, int]]:
    """Return the first and the last number of each target of a kind (``n`` or ``x``)."""
    found = []
    for target in targets.split():
        if target[0] == kind:
            first, _, last = target[1:].partition("-")
            found.append((int(first), int(last or first)))
    return found


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
