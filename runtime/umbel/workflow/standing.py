"""Workflows that stand for something: in the place of a task that was replaced, or as one more member of a header.

Their ids follow from the delivery that made them. So who runs the task again, since the one before died half-way, makes the same
workflow, finds it stored, and publishes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from umbel.canvas.completing import completed
from umbel.canvas.groups import group
from umbel.canvas.signature import PLACE, Signature, as_signature
from umbel.workflow.advancing import Place, place_of
from umbel.workflow.compiling import Compiler
from umbel.workflow.ids import derived_workflow_id, node_id, split_id
from umbel.workflow.parts import Part, StandsFor
from umbel.workflow.storing import result_of, store

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.context import Request
    from umbel.message import Message
    from umbel.task import Task

#: What the message of the last task takes over from the one that it stands for.
_INHERITED: Final = ("reply_to", "group_id", "group_index", "root_id", "parent_id", "stamps")

#: The run under way, and how many signatures it has added to its chord.
_added: ContextVar[tuple[Request, int] | None] = ContextVar("umbel_added_to_chord", default=None)


def replace(app: Umbel, message: Message, instead: Any) -> None:
    """Let a signature run in the place of a task, under its id; before the acknowledgement of its message.

    Raises:
        OperationalError: the broker is away: repeat it.
        QueueClosed: a queue of it takes no tasks.
    """
    headers = message.headers
    whole = completed(instead, None, None, {"task_id": headers["id"]})
    place = headers.get("w")
    outers = [] if place is None else [{name: value for name, value in place.items() if name not in ("t", "e")}]
    meant = split_id(headers["id"])
    known = headers["id"] if place is not None and meant is not None and meant[0] == place["i"] else None
    taken: dict[str, Any] = {name: headers[name] for name in _INHERITED if name in headers}
    taken["replaced_task_nesting"] = headers.get("replaced_task_nesting", 0) + 1
    seed = message.nonce + headers["id"].encode()
    _run(app, whole, derived_workflow_id(seed), StandsFor(outers, taken, message.attempt, known))


def add_to_chord(task: Task[..., Any], signature: Any, lazy: bool) -> Any:
    """Add a signature to the header of the chord that the running task is a member of; return its result.

    With ``lazy`` the header waits for it and the signature itself is returned, which whoever has it may send, once.

    Raises:
        ValueError: it is a member of none, or of one that waits for nothing any more.
    """
    app = task.app
    whole, place = as_signature(signature, app), _enlarge(task)
    if not lazy:
        return fill(app, completed(whole), place)
    whole.options[PLACE] = place
    if whole.subtask_type not in ("group", "chord"):  # what has an id of its own
        alone = whole.subtask_type != "chain"
        whole.options.setdefault(
            "task_id", node_id(place["w"] if alone else derived_workflow_id(place["w"].encode()), 0)
        )
    return whole


def fill(app: Umbel, whole: Any, place: Mapping[str, Any]) -> Any:
    """Send a signature whose end fills a place of a header; return its result. Only the first one that is sent counts.

    Args:
        app: that sends it.
        whole: completed.
        place: as `add_to_chord` gave it to the signature: ``w`` the workflow that it becomes, ``o`` the place.

    Raises:
        OperationalError: the broker is away.
        QueueClosed: a queue of it takes no tasks.
    """
    if isinstance(whole, group) or (whole.subtask_type == "chain" and isinstance(whole.kwargs["tasks"][-1], group)):
        whole = completed(whole | Signature("umbel.accumulate", kwargs={"index": 0}, app=app))
    return result_of(app, _run(app, whole, place["w"], StandsFor([place["o"]], known=node_id(place["w"], 0))).shape)


def _enlarge(task: Task[..., Any]) -> dict[str, Any]:
    """Add a place to the header that a running task is a member of, and return it; the same one to who runs it again."""
    app, request = task.app, task.request
    message = request.message
    assert message is not None
    found = _header_of(app, message)
    if found is None:
        raise ValueError(f"{task.name}[{request.id}] is no member of the header of a chord: there is nothing to add to")
    place, join = found
    before = _added.get()
    count = before[1] + 1 if before is not None and before[0] is request else 0
    _added.set((request, count))
    seed = message.nonce + f"{request.id} {count}".encode()
    grown = app.broker.workflows.grow(place.workflow, join, seed.hex())
    if grown is None:
        raise ValueError(f"the chord that {task.name}[{request.id}] belongs to waits for nothing any more")
    node, slot = grown
    outer = {"i": place.workflow, "n": node, "p": [join, slot]}
    if place.outers:
        outer["o"] = message.headers["w"]["o"]
    return {"w": derived_workflow_id(seed), "o": outer}


def _run(app: Umbel, whole: Any, workflow: str, stands_for: StandsFor) -> Part:
    compiler = Compiler(app, workflow, stands_for)
    part = compiler.compile(whole)
    store(app, compiler)
    for queue, numbered in compiler.outgoing.items():
        app.broker.workflows.publish(compiler.graph.workflow, queue, app.conf.workflow_expires, numbered)
    return part


def _header_of(app: Umbel, message: Message) -> tuple[Place, int] | None:
    """Return the place of a task, or of what it stands for, that fills a place of a join; and the join."""
    if "w" not in message.headers:
        return None
    waiting = [place_of(message.headers["w"])]
    while waiting:
        place = waiting.pop(0)
        if place.slot is not None:
            return place, place.slot[0]
        (row,) = app.broker.workflows.rows(place.workflow, [place.node])
        outs = b"" if row is None else row.partition(b"|")[0]
        for target in outs.decode().split():
            if target.startswith("j"):
                return place, int(target[1:].partition(":")[0])
        waiting += place.outers
    return None
