"""The messages of a workflow's tasks: what is stored until their turn comes, or sent at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from umbel import bodies, publishing
from umbel import message as messages
from umbel.canvas.stamping import call_options
from umbel.errors import ImproperlyConfigured
from umbel.message import Message
from umbel.shards import pick
from umbel.workflow.graph import Graph
from umbel.workflow.ids import node_id
from umbel.workflow.parts import Given, StandsFor
from umbel.workflow.shapes import Shape, options_of

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Options of signatures that say how they hang together; the call itself does not know them.
COMPOSING: Final = frozenset(
    {"link", "link_error", "chord", "chain", "chord_place", "group_id", "group_index", "task_id"}
)
#: Header of a message: its place in a workflow. ``i`` workflow, ``n`` node, ``p`` [join, place] of a member without a row,
#: ``t`` the join whose values it takes, ``o`` the places that its own end fills too, ``e`` what an errback is told of.
HEADER: Final = "w"


@dataclass(slots=True)
class Written:
    """A task's message. ``delay`` counts from its turn on, in seconds; before ``due``, in seconds since the Unix epoch, it does
    not begin; at most one of them is set."""

    task_id: str
    queue: str
    message: Message
    delay: float
    due: float


class Writer:
    """Writes the messages of one workflow.

    Args:
        app: whose settings, routes and tasks apply.
        graph: of the workflow; ids that the user chose are noted there.
        stands_for: what the end of the workflow is the end of.
    """

    def __init__(self, app: Umbel, graph: Graph, stands_for: StandsFor | None) -> None:
        self.now = time.time()
        #: The id of the task that the workflow begins with.
        self.root: str | None = None
        self._app = app
        self._graph = graph
        self._stands_for = stands_for

    def write(self, shape: Shape, given: Given, number: int, *, exits: bool) -> Written:
        """Return the message of a node.

        Args:
            shape: the call.
            given: what comes from outside.
            number: of the node.
            exits: whether somebody waits for it.

        Raises:
            ImproperlyConfigured: this call cannot be a step.
        """
        app, own = self._app, options_of(shape)
        if "chord_place" in own:
            raise ImproperlyConfigured(
                f"{shape['task']} was added to a chord, to be sent later (add_to_chord with lazy=True): send it by itself or as a "
                "member of a group, not within another workflow"
            )
        options = {**own, **given.options}
        args, kwargs = tuple(shape.get("args") or ()), dict(shape.get("kwargs") or {})
        if not shape.get("immutable"):
            args, kwargs = (*given.args, *args), {**kwargs, **given.kwargs}
        task = app.tasks.get(shape["task"])
        if task is not None and task.uniqueness is not None:
            raise ImproperlyConfigured(
                f"{task.name} is unique, and no step of a workflow can be: its arguments tell equal calls apart, and they are not "
                f"known before the step's turn. Send it by itself ({task.name.rpartition('.')[2]}.delay(...)), from a step too, or "
                "declare a task without unique= for workflows"
            )
        call = call_options({name: value for name, value in options.items() if name not in COMPOSING})
        task_id = self._task_id(own, number)
        call |= {name: own.get(name) for name in ("group_id", "group_index")} | {"task_id": task_id}
        if self.root is not None and task_id != self.root:
            call.setdefault("root_id", self.root)
        queue, message, delay = publishing.build(app, shape["task"], args, kwargs, task=task, now=self.now, **call)
        if queue in app.conf.queue_shards:
            queue = pick(queue, app.conf.queue_shards, message.headers.get("group") or task_id)
        place: dict[str, Any] = {"i": self._graph.workflow, "n": number}
        if exits:
            message = self._exit(message, place)
        else:
            message.headers.pop("reply_to", None)
        message.headers[HEADER] = place
        due = self.now + delay if delay and options.get("eta") is not None else 0.0
        return Written(task_id, queue, message, 0.0 if due else delay, due)

    def _task_id(self, options: Mapping[str, Any], number: int) -> str:
        """Return the id of a node, and note it if it was chosen."""
        chosen: str | None = options.get("task_id")
        if chosen is None:
            return node_id(self._graph.workflow, number)
        if self._stands_for is None or chosen != self._stands_for.known:
            self._graph.ids[chosen] = number
        return chosen

    def _exit(self, message: Message, place: dict[str, Any]) -> Message:
        """Let an exit end what the workflow stands for, too."""
        if self._stands_for is None:
            return message
        if self._stands_for.outers:
            place["o"] = self._stands_for.outers
        headers = {**message.headers, **self._stands_for.headers}
        return replace(message, headers=headers, attempt=self._stands_for.attempt)


def with_place(payload: bytes, more: Mapping[str, Any]) -> bytes:
    """Return an encoded message with more said of its place."""
    message = messages.decode(payload)
    message.headers[HEADER].update(more)
    message.body = bodies.resealed(message.headers, message.body)
    return message.encode()
