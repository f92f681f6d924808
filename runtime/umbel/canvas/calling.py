"""What becomes of a signature that is called: sent as it is, sent as a workflow, or run here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel.canvas import eager
from umbel.canvas.chains import chain
from umbel.canvas.completing import completed
from umbel.canvas.groups import group
from umbel.canvas.signature import PLACE, Signature
from umbel.canvas.stamping import call_options
from umbel.context import allow_join_result

if TYPE_CHECKING:
    from umbel.task import Task

#: Options of a call that make it a workflow.
WHOLE: Final = frozenset({"link", "link_error", PLACE})


def send(
    sig: Signature[Any], args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Any:
    """See `umbel.canvas.Signature.apply_async`; None for an empty chain."""
    app = sig.app
    if app.conf.task_always_eager:
        with allow_join_result():
            return eager.apply(sig, args, kwargs, options)
    if type(sig) is Signature:
        merged = sig.merged(args, kwargs, options)
        if WHOLE.isdisjoint(merged[2]):
            task = sig._type if sig._type is not None else app.tasks.get(sig.task)
            if task is None:
                return app.send_task(sig.task, *merged[:2], **call_options(merged[2]))
            return task.apply_async(*merged[:2], **call_options(merged[2]))
    whole = completed(sig, args, kwargs, options)
    if isinstance(whole, chain) and not whole.tasks:
        return None
    if isinstance(whole, group) and not whole.tasks:
        return whole.freeze()
    return eager.only_member(sig, sending().send(app, whole, (), {}, {}))


def sending() -> Any:
    """Return the module that sends workflows, which is made of those that it is called by."""
    return importlib.import_module("umbel.canvas.sending")


def call(task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Send a call of a task whose options have links or stamps."""
    given = {name: value for name, value in options.items() if value is not None}
    return send(Signature(task, args, kwargs, given), None, None, {})
