"""What belongs to a result as a graph: its workflow where it is one, else what the task sent and what that sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from umbel import message as messages
from umbel import states
from umbel.errors import DecodeError
from umbel.workflow.base import Snapshot, places
from umbel.workflow.graph import numbers, read_template
from umbel.workflow.ids import node_id

if TYPE_CHECKING:
    from umbel.app import Umbel

#: More members of one group than this are one spot.
MOST_MEMBERS: Final = 50
#: Of so many tasks that have not ended it is looked up what is recorded of them.
MOST_RECORDS: Final = 1000
#: In the place of a state: a task of a workflow that has not run, and will not.
NOT_RUN: Final = "NOT RUN"
_KINDS: Final = {"S": states.SUCCESS, "F": states.FAILURE, "R": states.REVOKED, "I": states.IGNORED}


@dataclass(slots=True)
class Spot:
    """A task of a graph, or many that are alike.

    ``state`` is the recorded one, or `NOT_RUN`; PENDING waits for its turn, is queued, or runs. ``runtime`` is in seconds; of
    many, ``name`` says how many.
    """

    id: str
    name: str
    state: str
    runtime: float | None = None

    @property
    def label(self) -> str:
        """What a picture shows of it."""
        ran = "" if self.runtime is None else f" {self.runtime:.3g} s"
        return f"{self.name or self.id} {self.state}{ran}"


class ResultGraph:
    """Tasks by id, and which follows upon which. Yields the ids."""

    def __init__(self) -> None:
        self.spots: dict[str, Spot] = {}
        self.edges: list[tuple[str, str]] = []
        self._known: set[tuple[str, str]] = set()

    def add(self, spot: Spot) -> None:
        """Add a task."""
        self.spots.setdefault(spot.id, spot)

    def connect(self, earlier: str, later: str) -> None:
        """Note that a task follows upon another."""
        if (earlier, later) not in self._known:
            self._known.add((earlier, later))
            self.edges.append((earlier, later))

    def __iter__(self) -> Iterator[str]:
        return iter(self.spots)

    def __len__(self) -> int:
        return len(self.spots)

    def after(self, task_id: str) -> list[str]:
        """Return what follows upon a task."""
        return [later for earlier, later in self.edges if earlier == task_id]

    def topsort(self) -> list[str]:
        """Return the ids such that each comes after all that it follows upon."""
        sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(self.spots, ()))
        for earlier, later in self.edges:
            sorter.add(later, earlier)
        return list(sorter.static_order())

    def roots(self) -> list[str]:
        """Return the ids that follow upon nothing."""
        later = {to for _, to in self.edges}
        return [task_id for task_id in self.spots if task_id not in later]


def of_result(result: Any, intermediate: bool) -> ResultGraph:
    """Return a result and all that descends from it."""
    graph = ResultGraph()
    for parent, node in result.iterdeps(intermediate):
        state = node.state if hasattr(node, "state") else "GROUP"
        graph.add(Spot(node.id, getattr(node, "name", None) or "", state))
        if parent is not None:
            graph.connect(parent.id, node.id)
    return graph


def of_workflow(app: Umbel, task_id: str) -> ResultGraph | None:
    """Return the workflow that a task belongs to, as it stands; None if there is none, or not any more."""
    found = app.broker.workflows.find([task_id]).get(task_id)
    if found is None:
        return None
    snapshot = app.broker.workflows.look(found[0])
    return None if snapshot is None else _Reader(app, found[0], snapshot).graph()


class _Reader:
    """Makes a graph of what the store knows of a workflow."""

    def __init__(self, app: Umbel, workflow: str, snapshot: Snapshot) -> None:
        self._app = app
        self._workflow = workflow
        self._seen = snapshot
        self._is_closed = "closed" in snapshot.states
        self._ids: dict[int, str] = {}
        self._graph = ResultGraph()
        #: Tasks that have ended, and whether what follows upon them has its turn.
        self._ended: dict[str, bool] = {}
        #: Spots that stand for many.
        self._many: set[str] = set()

    def graph(self) -> ResultGraph:
        import orjson

        rows = {int(name): row for name, row in self._seen.graph.items() if name.isdecimal()}
        for number in sorted(rows):
            template = read_template(rows[number])
            self._ids[number] = template.task_id
            self._graph.add(self._spot(number, template.task_id, _name_of(template.payload)))
        for first, count, join, place, task in places(orjson.loads(self._seen.graph["about"])):
            self._members(first, count, join, place, task)
        errbacks = []
        for number, row in rows.items():
            outs, _, own, _ = row.partition(b"\n")[0].decode().split("|")
            self._connect(self._ids[number], outs.split())
            errbacks += [(number, int(errback)) for errback in own.split()]
        for name, row in self._seen.graph.items():
            if name[0] == "j" and name[1:].isdecimal():
                pairs = (pair.split("@") for pair in row.decode().split("|")[3].split())
                errbacks += [(int(body), int(errback)) for errback, body in pairs]
        self._name_the_rest(self._without_turn())
        for failing, errback in errbacks:
            self._graph.connect(self._ids[failing], self._ids[errback])
        return self._graph

    def _without_turn(self) -> set[str]:
        """Return the tasks that will not run, since what they follow upon has failed, or was revoked."""
        never: set[str] = set()
        is_revoked = "revoked" in self._seen.states
        before: dict[str, list[str]] = {}
        for earlier, later in self._graph.edges:
            before.setdefault(later, []).append(earlier)
        for task_id in self._graph.topsort():
            for earlier in before.get(task_id, ()):
                if earlier in never or not self._ended.get(earlier, not is_revoked):
                    never.add(task_id)
        return never

    def _name_the_rest(self, never: set[str]) -> None:
        """Give what has not ended the state that is recorded of it; what has none, and will not run, says so."""
        spots = [
            spot for spot in self._graph.spots.values() if spot.id not in self._ended and spot.id not in self._many
        ]
        last = {self._ids.get(number) for first, last in self._exits() for number in range(first, last + 1)}
        asked = sorted(spots, key=lambda spot: spot.id not in last)[:MOST_RECORDS]
        records = self._app.results.get_many([spot.id for spot in asked])
        recorded = {spot.id: record.state for spot, record in zip(asked, records, strict=True) if record is not None}
        for spot in spots:
            nothing = NOT_RUN if self._is_closed or spot.id in never else states.PENDING
            spot.state = recorded.get(spot.id, nothing)

    def _exits(self) -> list[tuple[int, int]]:
        return numbers(self._seen.graph.get("exits", b"").decode(), "x")

    def _members(self, first: int, count: int, join: int, place: int, task: str) -> None:
        has_failed = f"d{join}" in self._seen.states
        done = [self._is_filled(first + offset, join, place + offset) for offset in range(count)]
        if self._is_closed and not has_failed:
            done = [True] * count
        if count > MOST_MEMBERS:
            task_id = node_id(self._workflow, first)
            filled = int(self._seen.states.get(f"c{join}", "0")) if self._is_closed and has_failed else sum(done)
            self._graph.add(Spot(task_id, f"{count} × {task}", states.SUCCESS if all(done) else f"{filled} done"))
            self._many.add(task_id)
            if has_failed or all(done):
                self._ended[task_id] = not has_failed
            self._connect(task_id, [f"j{join}:{place}"])
            return
        for offset in range(count):
            task_id = node_id(self._workflow, first + offset)
            spot = self._spot(first + offset, task_id, task)
            if done[offset]:
                spot.state = states.SUCCESS
                self._ended[task_id] = True
            self._graph.add(spot)
            self._connect(task_id, [f"j{join}:{place + offset}"])

    def _is_filled(self, number: int, join: int, place: int) -> bool:
        return (join, place) in self._seen.filled or self._seen.states.get(f"e{number}", "").startswith("S")

    def _spot(self, number: int, task_id: str, name: str) -> Spot:
        told = self._seen.states.get(f"e{number}")
        if not told:
            return Spot(task_id, name, states.PENDING)
        self._ended[task_id] = told[0] == "S"
        runtime = told[1:].split()[1:2]
        return Spot(task_id, name, _KINDS.get(told[0], told[0]), int(runtime[0]) / 1000 if runtime else None)

    def _connect(self, earlier: str, targets: list[str], depth: int = 0) -> None:
        """Connect a task with what its targets mean; a join is gone through, to what comes after it."""
        for target in targets:
            if target.startswith("n"):
                first, _, last = target[1:].partition("-")
                for number in range(int(first), int(last or first) + 1):
                    if number in self._ids:
                        self._graph.connect(earlier, self._ids[number])
            elif target.startswith("j") and depth < 100:
                row = self._seen.graph.get(target.partition(":")[0], b"")
                self._connect(earlier, row.split(b"|")[1].decode().split() if b"|" in row else [], depth + 1)


def _name_of(payload: bytes) -> str:
    try:
        return str(messages.decode(payload).headers["task"])
    except (DecodeError, KeyError):
        return ""
