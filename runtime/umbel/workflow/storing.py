"""What a sender does with a compiled workflow: store it, and hold the results of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from umbel.result import AsyncResult, GroupResult
from umbel.workflow.compiling import Compiler
from umbel.workflow.parts import Outline

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Larger workflows cannot be looked at after their end.
KEPT_NODES: Final = 1000


def store(app: Umbel, compiler: Compiler) -> None:
    """Store the graph of a workflow."""
    conf, graph = app.conf, compiler.graph
    keep = conf.workflow_kept if graph.size <= KEPT_NODES else 0.0
    app.broker.workflows.create(graph, ttl=conf.workflow_expires, keep=min(keep, conf.result_ttl or keep))


def result_of(app: Umbel, outline: Outline, parent: Any = None) -> Any:
    """Return the results of a part of a workflow: that of its last task, with those before it as its parents."""
    if outline.kind == "group":
        return GroupResult(outline.id, [result_of(app, part) for part in outline.parts], parent, app)
    if outline.kind == "task":
        return AsyncResult(outline.id, None, outline.name, app, parent, ignored=outline.ignored, inbox=outline.inbox)
    for part in outline.parts:
        if part.id or part.parts:
            parent = result_of(app, part, parent)
    return parent
