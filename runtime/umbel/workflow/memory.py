"""The store of workflows in the memory of one process, with the semantics of the one on Redis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from umbel.broker.data import Outgoing
from umbel.clock import Clock, full_milliseconds
from umbel.errors import QueueClosed
from umbel.memory import head
from umbel.memory.store import Store
from umbel.workflow.base import FAILED, SUCCEEDED, Due, Ending, Gathered, Snapshot, Step
from umbel.workflow.graph import Graph, numbers
from umbel.workflow.ids import split_id


@dataclass(slots=True)
class State:
    """What has become of a workflow. Names as the scripts have them, see ``workflow_end.lua``."""

    rows: dict[str, bytes]
    ttl: float
    keep: float
    live: int
    given: int
    expires: float
    ids: list[str]
    ended: dict[int, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    grown: dict[int, int] = field(default_factory=dict)
    killers: dict[int, int] = field(default_factory=dict)
    added: dict[str, tuple[int, int]] = field(default_factory=dict)
    filled: dict[tuple[int, int], bytes] = field(default_factory=dict)
    passed: dict[int, bytes] = field(default_factory=dict)
    failures: dict[int, bytes] = field(default_factory=dict)
    telling: set[str] = field(default_factory=set)
    revoked: bool = False
    closed: bool = False


class MemoryWorkflows:
    """See `umbel.workflow.base.Workflows`.

    Args:
        store: of the in-memory broker.
        clock: tells when a workflow is too old.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def create(self, graph: Graph, *, ttl: float, keep: float) -> bool:
        with self._store.locked() as store:
            if self._state(graph.workflow, closed_too=True) is not None:
                return False
            rows = dict(graph.rows())
            expires = self._clock.time() + ttl
            state = State(rows, ttl, keep, graph.entries, graph.size, expires, list(graph.ids))
            store.workflows[graph.workflow] = state
            for task_id, node in graph.ids.items():
                store.chosen_ids[task_id] = (graph.workflow, node)
            return True

    def end(self, workflow: str, ending: Ending) -> Step | None:
        with self._store.locked():
            state = self._state(workflow)
            if state is None or (ending.place is None and str(ending.node) not in state.rows):
                return None
            state.expires = self._clock.time() + state.ttl
            step = _End(state, ending).step
            if step.over and not step.due and not step.told:
                self._close(workflow, state)
            return step

    def publish(self, workflow: str, queue: str, ttl: float, messages: Sequence[tuple[int, Outgoing]]) -> None:
        now = self._clock.time()
        with self._store.locked() as store:
            own = store.queue(queue)
            if not own.settings.intake_open:
                raise QueueClosed(f"queue {queue!r} takes no new tasks: its intake is Reject; set it to Accept")
            published = store.guards.setdefault((queue, workflow), set())
            for node, outgoing in messages:
                if node in published:
                    continue
                published.add(node)
                payload = head.stamp(outgoing.payload, int(now * 1000))
                if outgoing.delay > 0:
                    if own.delay(payload, full_milliseconds(now + outgoing.delay)):
                        store.bells.ring(queue)
                else:
                    own.put_back(payload)
            store.ring_if_takeable(own)

    def close(self, workflow: str, told: str = "") -> None:
        with self._store.locked():
            state = self._state(workflow)
            if state is not None and told in state.telling:
                state.telling.discard(told)
                state.live -= 1
            if state is not None and state.live <= 0:
                self._close(workflow, state)

    def drop(self, workflow: str) -> None:
        with self._store.locked() as store:
            self._forget(store, workflow)

    def rows(self, workflow: str, nodes: Sequence[int]) -> list[bytes | None]:
        with self._store.locked():
            state = self._state(workflow, closed_too=True)
            return [None if state is None else state.rows.get(str(node)) for node in nodes]

    def values(self, workflow: str, join: int) -> Gathered | None:
        with self._store.locked():
            state = self._state(workflow, closed_too=True)
            if state is None:
                return None
            places = _join(state, join)[0] + state.grown.get(join, 0)
            held = [state.filled.get((join, place)) for place in range(places)]
            return Gathered(held, state.rows.get(f"s{join}"))

    def failure(self, workflow: str, node: int) -> bytes | None:
        with self._store.locked():
            state = self._state(workflow)
            return None if state is None else state.failures.get(node)

    def grow(self, workflow: str, join: int, token: str) -> tuple[int, int] | None:
        with self._store.locked():
            state = self._state(workflow)
            if state is None:
                return None
            if token not in state.added:
                places = _join(state, join)[0] + state.grown.get(join, 0)
                if state.revoked or join in state.killers or state.counts.get(join, 0) >= places:
                    return None
                state.added[token] = (state.given, places)
                state.grown[join] = state.grown.get(join, 0) + 1
                state.given += 1
                state.live += 1
            return state.added[token]

    def revoke(self, workflow: str) -> list[tuple[int, int]] | None:
        with self._store.locked():
            state = self._state(workflow)
            if state is None:
                return None
            if not state.revoked:
                state.revoked = True
                state.telling.add("r")
                state.live += 1
            exits = numbers(state.rows["exits"].decode(), "x")
            return [(first, last) for first, last in exits if first != last or first not in state.ended]

    def find(self, task_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        with self._store.locked() as store:
            meant = {task_id: store.chosen_ids.get(task_id) or split_id(task_id) for task_id in task_ids}
            return {
                task_id: place
                for task_id, place in meant.items()
                if place is not None and self._state(place[0], closed_too=True) is not None
            }

    def look(self, workflow: str) -> Snapshot | None:
        with self._store.locked():
            state = self._state(workflow, closed_too=True)
            if state is None:
                return None
            flags = {f"e{node}": told for node, told in state.ended.items()}
            flags |= {f"d{join}": str(node) for join, node in state.killers.items()}
            flags |= {f"g{join}": str(count) for join, count in state.grown.items()}
            flags["live"] = str(state.live)
            flags |= {f"c{join}": str(count) for join, count in state.counts.items()}
            flags |= {name: "1" for name in ("revoked", "closed") if getattr(state, name)}
            return Snapshot(dict(state.rows), flags, set(state.filled))

    def tell(self, task_id: str, record: bytes, ttl: float, reply_to: str | None) -> bool:
        with self._store.locked() as store:
            return store.records.store(task_id, record, ttl, self._clock.time(), guarded=True)

    def _state(self, workflow: str, *, closed_too: bool = False) -> State | None:
        state: State | None = self._store.workflows.get(workflow)
        if state is not None and state.expires <= self._clock.time():
            self._forget(self._store, workflow)
            return None
        return None if state is None or (state.closed and not closed_too) else state

    def _close(self, workflow: str, state: State) -> None:
        state.filled.clear()
        state.passed.clear()
        state.failures.clear()
        state.closed = True
        state.expires = self._clock.time() + state.keep
        if not state.keep:
            self._forget(self._store, workflow)

    def _forget(self, store: Store, workflow: str) -> None:
        state = store.workflows.pop(workflow, None)
        for task_id in () if state is None else state.ids:
            store.chosen_ids.pop(task_id, None)


class _End:
    """One step; see ``workflow_end.lua``, which this follows line by line."""

    def __init__(self, state: State, ending: Ending) -> None:
        self._state = state
        self._node = ending.node
        if ending.place is None:
            line = state.rows[str(ending.node)].partition(b"\n")[0].decode()
            outs, fail, errbacks, drop = line.split("|")
        else:
            outs, fail, errbacks, drop = f"j{ending.place[0]}:{ending.place[1]}", "", "", ""
        old = state.ended.get(ending.node)
        if old is None and ending.place in state.filled:
            old = SUCCEEDED
        self._first = old is None
        self._fresh = 0
        self._value = ending.value
        self._kind = ending.kind if old is None else old[0]
        self.step = Step(self._kind, self._value, False, ttl=int(state.ttl * 1000))
        told = f"{self._kind}{ending.ended_ms} {ending.runtime_ms}"
        if self._kind == SUCCEEDED:
            self._succeed(outs, ending, told)
        else:
            self._fail(ending, fail, errbacks, told)
        if drop:
            state.passed.pop(int(drop), None)
        if self._first:
            if self.step.told:
                state.telling.add(str(self._node))
            state.live += self._fresh - 1 + bool(self.step.told)
        self.step.over = state.live <= 0

    def _succeed(self, outs: str, ending: Ending, told: str) -> None:
        state = self._state
        kept = ending.place is None
        for join, place in re.findall(r"j(\d+):(\d+)", outs):
            kept = not self._fill(int(join), int(place)) or kept
        if not state.revoked:
            self._add_all(outs, "v", self._first)
        if self._first and kept:
            state.ended[self._node] = told
        if "n" in outs:
            if self._first:
                state.passed[self._node] = self._value
            else:
                self.step.value = state.passed.get(self._node, b"")

    def _fail(self, ending: Ending, fail: str, errbacks: str, told: str) -> None:
        state = self._state
        if self._first:
            state.ended[self._node] = told
            state.failures[self._node] = self._value
        else:
            self.step.value = state.failures.get(self._node, self._value)
        if state.revoked:
            return
        if self._kind == FAILED:
            for errback in map(int, errbacks.split()):
                self._add(errback, errback, "e", self._first)
        if ending.place is not None:
            self._fail_join(ending.place[0])
        else:
            self._spread(fail, False)

    def _fill(self, join: int, place: int) -> bool:
        state = self._state
        if join in state.killers:
            return False
        is_new = (join, place) not in state.filled
        if is_new:
            state.filled[join, place] = self._value
            state.counts[join] = state.counts.get(join, 0) + 1
        size, outs, _, _ = _join(state, join)
        if not state.revoked and state.counts.get(join, 0) >= size + state.grown.get(join, 0):
            self._add_all(outs, "j", is_new)
        return True

    def _fail_join(self, join: int) -> None:
        if self._state.killers.setdefault(join, self._node) != self._node:
            return
        _, _, fail, pairs = _join(self._state, join)
        for errback, body in re.findall(r"(\d+)@(\d+)", pairs):
            self._add(int(errback), int(errback), f"e{body}", self._first)
        self._spread(fail, True)

    def _spread(self, number: str, through: bool) -> None:
        targets = self._state.rows[f"f{number}"].decode() if number else ""
        for first, last in numbers(targets, "x"):
            if first != self._node:
                self.step.told.append((first, last, through))
        for join in re.findall(r"j(\d+)", targets):
            self._fail_join(int(join))

    def _add_all(self, targets: str, how: str, is_new: bool) -> None:
        for first, last in numbers(targets, "n"):
            self._add(first, last, how, is_new)

    def _add(self, first: int, last: int, how: str, is_new: bool) -> None:
        if first == last and first in self._state.ended:
            return
        self.step.due.append(Due(first, last, how))
        if is_new:
            self._fresh += last - first + 1


def _join(state: State, join: int) -> tuple[int, str, str, str]:
    size, outs, fail, errbacks = state.rows[f"j{join}"].decode().split("|")
    return int(size), outs, fail, errbacks
