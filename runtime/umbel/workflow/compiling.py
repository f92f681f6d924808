"""From a signature to the flat graph of a workflow, and the messages that it begins with.

It is read from its end to its beginning, since each node has to know what follows it. Failures go straight to where they matter:
the joins and exits behind a part of a chain are one list, which all its nodes share; so the size stays linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from umbel import bodies
from umbel.broker.base import Outgoing
from umbel.workflow.graph import Graph, Join, Members, Node, Template
from umbel.workflow.ids import new_workflow_id, node_id
from umbel.workflow.parts import NOTHING, After, Given, Outline, Part, StandsFor, finals, nesting
from umbel.workflow.shapes import (
    Shape,
    body_of,
    first_task,
    kind_of,
    links_of,
    options_of,
    parts_of,
    steps_of,
    width_of,
)
from umbel.workflow.targets import merged, of_nodes, span
from umbel.workflow.writing import COMPOSING, HEADER, Writer, with_place

if TYPE_CHECKING:
    from umbel.app import Umbel


class Compiler:
    """Makes one workflow.

    Args:
        app: whose settings, routes and tasks apply.
        workflow: its id; a random one unless given.
        stands_for: what its end is the end of, if it runs in the place of a task or as a member of another workflow's header.
    """

    def __init__(
        self,
        app: Umbel,
        workflow: str | None = None,
        stands_for: StandsFor | None = None,
    ) -> None:
        self.graph = Graph(workflow or new_workflow_id())
        #: What is to be published at once, by queue: nodes and their messages.
        self.outgoing: dict[str, list[tuple[int, Outgoing]]] = {}
        self._writer = Writer(app, self.graph, stands_for)
        self.graph.made = self._writer.now
        self._fails: dict[tuple[str, ...], int] = {}
        self._exits: list[str] = []
        self._first = False  # whether the first task has its number, 0

    def compile(self, shape: Shape, given: Given = NOTHING) -> Part:
        """Fill the graph with a signature and what a call adds to it."""
        graph = self.graph
        first = first_task(shape)
        if first is not None:
            graph.size = 1
            self._writer.root = options_of(first).get("task_id") or node_id(graph.workflow, 0)
        else:
            self._first = True
        part = self._part(shape, After(), given, entry=True)
        graph.exits = tuple(merged(self._exits))
        return part

    # Parts

    def _part(self, shape: Shape, after: After, given: Given, *, entry: bool) -> Part:
        kind = kind_of(shape)
        if kind == "task":
            return self._task(shape, after, given, entry)
        if kind == "chain":
            return self._chain(shape, after, given, entry)
        if kind == "group":
            return self._group(shape, after, given, entry)
        return self._chord(shape, after, given, entry)

    def _chain(self, shape: Shape, after: After, given: Given, entry: bool) -> Part:
        steps = list(steps_of(shape))
        options = options_of(shape)
        if not steps:
            return Part([], after.fail, after.bodies, Outline("chain"))
        steps[-1] = _linking(steps[-1], links_of(options, "link"))
        shared = self._errbacks(links_of(options, "link_error"))
        own = {name: value for name, value in options.items() if name not in COMPOSING}
        if own or "task_id" in options:
            given = replace(given, options={**own, **given.options})
        if "task_id" in options and "task_id" not in options_of(steps[-1]):
            steps[-1] = {**steps[-1], "options": {**options_of(steps[-1]), "task_id": options["task_id"]}}
        numbers = [self._number(entry and not i) if kind_of(s) == "task" else None for i, s in enumerate(steps)]
        outlines: list[Outline] = []
        part: Part | None = None
        for index in range(len(steps) - 1, -1, -1):
            first = index == 0
            if part is not None:
                after = After(of_nodes(part.entries), part.fail, part.bodies, after.told)
            step = self._descended(steps, numbers, index)
            part = self._step(step, after, given if first else NOTHING, entry and first, numbers[index], shared)
            outlines.append(part.shape)
        assert part is not None
        outlines.reverse()
        return Part(part.entries, part.fail, part.bodies, Outline("chain", parts=outlines))

    def _descended(self, steps: list[Shape], numbers: list[int | None], index: int) -> Shape:
        """Return a step that knows the task before it."""
        step = steps[index]
        if not index or numbers[index] is None or numbers[index - 1] is None:
            return step
        before = options_of(steps[index - 1]).get("task_id") or node_id(self.graph.workflow, numbers[index - 1] or 0)
        return {**step, "options": {"parent_id": before, **options_of(step)}}

    def _step(
        self, step: Shape, after: After, given: Given, entry: bool, number: int | None, shared: tuple[int, ...]
    ) -> Part:
        if number is not None:
            return self._task(step, after, given, entry, number, shared)
        part = self._part(step, after, given, entry=entry)
        for node in part.entries if shared else ():
            if node in self.graph.nodes:
                row = self.graph.nodes[node]
                row.errbacks = (*row.errbacks, *shared)
        bodies = (*part.bodies, *((errback, node) for errback in shared for node in part.entries))
        return Part(part.entries, part.fail, bodies, part.shape)

    def _group(self, shape: Shape, after: After, given: Given, entry: bool) -> Part:
        if after.outs:
            return self._joined(shape, parts_of(shape), after, given, entry)
        options = options_of(shape)
        group_id = options.get("task_id") or node_id(self.graph.workflow, self._number())
        entries: list[int] = []
        fails: list[str] = []
        bodies: list[tuple[int, int]] = []
        outlines = []
        place = after.slot[1] if after.slot is not None else 0
        links = links_of(options, "link")
        for index, member in enumerate(parts_of(shape)):
            if links and not index:  # as Celery has it: once, after the first member, without its result
                member = _linking(member, [{**link, "immutable": True} for link in links])
            member = _linking(member, links_of(options, "link_error"), "link_error")
            its = replace(after, slot=(after.slot[0], place)) if after.slot is not None else after
            part = self._part(_placed(member, group_id, index, options), its, given, entry=entry)
            entries += part.entries
            bodies += part.bodies
            outlines.append(part.shape)
            if after.slot is not None:
                place += width_of(member)
            else:
                fails += self._targets_of(part.fail)
        fail = self._fail(fails) if after.slot is None else self._fail([f"j{after.slot[0]}"])
        return Part(entries, fail, tuple(bodies), Outline("group", group_id, parts=outlines))

    def _chord(self, shape: Shape, after: After, given: Given, entry: bool) -> Part:
        body = body_of(shape)
        options = options_of(shape)
        if body is None:
            return self._group({**shape, "kwargs": {"tasks": parts_of(shape)}}, after, given, entry)
        own = {name: value for name, value in {**options, **given.options}.items() if name not in COMPOSING}
        links = {name: [*links_of(options_of(body), name), *links_of(options, name)] for name in ("link", "link_error")}
        body = {**body, "options": {**options_of(body), **own, **{k: v for k, v in links.items() if v}}}
        header = list(parts_of(shape))
        if not sum(map(width_of, header)):
            empty = Given(([],), shape["kwargs"].get("kwargs") or {}, whole=True)
            part = self._part(body, after, empty, entry=entry)
            return Part(part.entries, part.fail, part.bodies, Outline("chord", parts=[Outline("group"), part.shape]))
        follows = self._part(body, after, NOTHING, entry=False)
        then = After(of_nodes(follows.entries), follows.fail, follows.bodies, after.told)
        first = self._joined(shape, header, then, replace(given, options=own), entry)
        return Part(first.entries, first.fail, first.bodies, Outline("chord", parts=[first.shape, follows.shape]))

    def _joined(self, shape: Shape, members: Iterable[Shape], after: After, given: Given, entry: bool) -> Part:
        """Put a barrier between a group and what follows it."""
        number = len(self.graph.joins)
        join = Join(0, after.outs, after.fail, after.bodies)
        self.graph.joins.append(join)
        for first, last in map(span, after.outs):
            for node in range(first, last + 1):
                self._takes(node, number)
        listed = {**shape, "kwargs": {"tasks": members}, "subtask_type": "group"}
        part = self._group(listed, After(slot=(number, 0), told=False), given, entry)
        join.size, join.nested = sum(map(finals, part.shape.parts)), nesting(part.shape)
        return part

    def _takes(self, node: int, join: int) -> None:
        """Let the message of a node say which join's values it takes."""
        row = self.graph.nodes[node]
        if row.template.takes:
            message = with_place(row.template.payload, {"t": join})
            row.template = replace(row.template, payload=message)

    # Tasks

    def _task(
        self,
        shape: Shape,
        after: After,
        given: Given,
        entry: bool,
        number: int | None = None,
        shared: tuple[int, ...] = (),
    ) -> Part:
        number = self._number(entry) if number is None else number
        options = options_of(shape)
        links = links_of(options, "link")
        outs, fail = after.outs, after.fail
        if after.slot is not None:
            outs, fail = (f"j{after.slot[0]}:{after.slot[1]}",), self._fail([f"j{after.slot[0]}"])
        exits = not outs and after.told
        outs = (*outs, *self._linked(links))
        errbacks = (*self._errbacks(links_of(options, "link_error")), *shared)
        written = self._writer.write(shape, given, number, exits=exits)
        task_id, message, delay, due = written.task_id, written.message, written.delay, written.due
        takes = not shape.get("immutable") and not given.whole
        outline = Outline(
            "task", task_id, shape["task"], bool(message.headers.get("ignore_result")), message.headers.get("reply_to")
        )
        light = entry and after.slot is not None and not links and not errbacks
        if light:
            assert after.slot is not None
            message.headers[HEADER]["p"] = list(after.slot)
            self._member(number, after.slot, shape["task"])
        bodies.seal(message)
        payload = message.encode()
        if entry:
            self.graph.entries += 1
            self.outgoing.setdefault(written.queue, []).append(
                (number, Outgoing(payload, task_id, max(delay, due and due - self._writer.now)))
            )
        if not light:
            stored = payload[: len(payload) - len(message.body)] if entry else payload
            template = Template(task_id, written.queue, stored, delay, due, takes)
            self.graph.nodes[number] = Node(template, outs, fail, errbacks)
            self._drop(outs, number)
        if exits:
            self._exits.append(f"x{number}")
            fail = self._fail([f"x{number}"])
        return Part([number], fail, tuple((errback, number) for errback in errbacks), outline)

    def _linked(self, links: list[Shape]) -> tuple[str, ...]:
        """Return callbacks as targets; nobody waits for them."""
        return of_nodes(list(self._errbacks(links)))

    def _errbacks(self, shapes: list[Shape]) -> tuple[int, ...]:
        entries: list[int] = []
        for shape in shapes:
            entries += self._part(shape, After(told=False), NOTHING, entry=False).entries
        return tuple(entries)

    def _drop(self, outs: tuple[str, ...], number: int) -> None:
        """Let the only node that gets this one's value drop it at its end."""
        if len(outs) == 1 and outs[0][0] == "n" and "-" not in outs[0]:
            self.graph.nodes[int(outs[0][1:])].drop = number

    def _member(self, number: int, slot: tuple[int, int], task: str) -> None:
        join, place = slot
        members = self.graph.members
        if members:
            last = members[-1]
            follows = (last.first + last.count, last.place + last.count) == (number, place)
            if follows and last.join == join and last.task == task:
                last.count += 1
                return
        members.append(Members(number, 1, join, place, task))

    # Numbers

    def _number(self, entry: bool = False) -> int:
        if entry and not self._first:
            self._first = True
            return 0
        self.graph.size += 1
        return self.graph.size - 1

    def _fail(self, targets: list[str]) -> int | None:
        if not targets:
            return None
        whole = tuple(merged(targets))
        number = self._fails.setdefault(whole, len(self._fails))
        if number == len(self.graph.fails):
            self.graph.fails.append(whole)
        return number

    def _targets_of(self, fail: int | None) -> tuple[str, ...]:
        return () if fail is None else self.graph.fails[fail]


def _placed(member: Shape, group_id: str, index: int, options: Mapping[str, Any]) -> Shape:
    """Return a member of a group, which knows its place there, with the group's options under its own."""
    shared = {name: value for name, value in options.items() if name not in COMPOSING}
    own = {**shared, **options_of(member)}
    if kind_of(member) == "task":
        own |= {"group_id": own.get("group_id") or group_id, "group_index": index}
    return {**member, "options": own}


def _linking(shape: Shape, links: list[Shape], name: str = "link") -> Shape:
    """Return a signature with more callbacks, or errbacks."""
    if not links:
        return shape
    options = options_of(shape)
    return {**shape, "options": {**options, name: [*links_of(options, name), *links]}}
