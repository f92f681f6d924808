"""Send a signature: one task as it is, a group of such in bulk, all else as a workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel import bulk
from umbel.broker.base import Outgoing
from umbel.canvas import eager
from umbel.canvas.completing import completed
from umbel.canvas.signature import PLACE, as_signature
from umbel.canvas.stamping import call_options
from umbel.errors import UmbelError
from umbel.ids import new_task_id
from umbel.options import check_arguments
from umbel.result import AsyncResult, GroupResult
from umbel.workflow import standing
from umbel.workflow.compiling import Compiler
from umbel.workflow.parts import Given
from umbel.workflow.shapes import Shape, kind_of, links_of, options_of, parts_of, steps_of
from umbel.workflow.storing import result_of, store

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task

#: What of a group's or a chain's options says something of the whole.
_OF_THE_WHOLE: Final = ("task_id", "link", "link_error", "group_id", "group_index", "chord")


def send(
    app: Umbel,
    signature: Shape,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Send a signature and return its result; None for an empty chain.

    Args:
        app: that sends it.
        signature: a dict of Celery's shape.
        args, kwargs: put before, and laid over, the arguments of its first tasks.
        options: of the call, laid over its own.

    Raises: as `umbel.Task.apply_async`. Whatever is raised, nothing of a workflow runs on: what was sent of it ends by itself.
    """
    checked, named = check_arguments(signature["task"], args, kwargs)
    given = Given(tuple(checked), dict(named))
    whole = _with_options(signature, options or {})
    kind = kind_of(whole)
    place = options_of(whole).get(PLACE)
    if place is not None:
        added = as_signature(whole, app, clone=True)
        if isinstance(place, int):  # of a header that runs here
            return eager.apply(added, args, kwargs, {})
        del added.options[PLACE]
        return standing.fill(app, completed(added, args, kwargs), place)
    if kind == "task" and not _links(options_of(whole)):
        return _send_task(app, whole, given)
    if kind == "chain":
        steps = steps_of(whole)
        if not steps:
            return None
        if len(steps) == 1 and kind_of(steps[0]) == "group":
            return send(app, steps[0], args, kwargs)
    if kind == "group":
        return _send_group(app, whole, given)
    return send_workflow(app, whole, given)


def send_workflow(app: Umbel, signature: Shape, given: Given) -> Any:
    """Store the graph of a signature, publish what it begins with, and return its result."""
    compiler = Compiler(app)
    part = compiler.compile(signature, given)
    store(app, compiler)
    try:
        _publish(app, compiler.outgoing)
    except UmbelError:
        # What was sent of it finds no workflow to go on with.
        app.broker.workflows.drop(compiler.graph.workflow)
        raise
    return result_of(app, part.shape)


def _publish(app: Umbel, outgoing: Mapping[str, list[tuple[int, Outgoing]]]) -> None:
    batch = bulk.current_batch()
    batch = batch and batch.of(app)
    for queue, numbered in outgoing.items():
        messages = [message for _, message in numbered]
        if batch is None:
            bulk.publish(app, queue, messages)
        else:
            for message in messages:
                batch.add(queue, message)


def _send_task(app: Umbel, signature: Shape, given: Given) -> AsyncResult[Any]:
    args, kwargs = tuple(signature.get("args") or ()), dict(signature.get("kwargs") or {})
    if not signature.get("immutable"):
        args, kwargs = (*given.args, *args), {**kwargs, **given.kwargs}
    name = signature["task"]
    task = app.tasks.get(name)
    options = call_options(options_of(signature))
    for place in ("group_id", "group_index"):
        if options_of(signature).get(place) is not None:
            options[place] = options_of(signature)[place]
    return app.send(name, args, kwargs, task=task, **options)


def _send_group(app: Umbel, signature: Shape, given: Given) -> GroupResult[Any]:
    """Send each member for itself, all in few calls: they have nothing to do with each other."""
    options = options_of(signature)
    shared = {name: value for name, value in options.items() if name not in _OF_THE_WHOLE}
    group_id = options.get("task_id") or new_task_id()
    links, errbacks = links_of(options, "link"), links_of(options, "link_error")
    results = []
    with app.batch():
        for index, member in enumerate(parts_of(signature)):
            own: dict[str, Any] = {**shared, **options_of(member)}
            if kind_of(member) == "task":
                own |= {"group_id": own.get("group_id") or group_id, "group_index": index}
            if links and not index:
                own["link"] = [*links_of(own, "link"), *({**link, "immutable": True} for link in links)]
            if errbacks:
                own["link_error"] = [*links_of(own, "link_error"), *errbacks]
            results.append(send(app, {**member, "options": own}, given.args, given.kwargs))
    return GroupResult(group_id, results, app=app)


def add_to_chord(task: Task[..., Any], signature: Shape, lazy: bool) -> Any:
    """See `umbel.Task.add_to_chord`; of a task that runs in a worker."""
    return standing.add_to_chord(task, signature, lazy)


def _with_options(signature: Shape, options: Mapping[str, Any]) -> Shape:
    """Return a signature with the options of a call over its own; callbacks and errbacks are added."""
    if not options:
        return signature
    own = dict(options_of(signature))
    for name, value in options.items():
        if name in ("link", "link_error") and value is not None:
            own[name] = [*links_of(own, name), *links_of(options, name)]
        elif value is not None:
            own[name] = value
    return {**signature, "options": own}


def _links(options: Mapping[str, Any]) -> bool:
    return bool(options.get("link") or options.get("link_error"))
