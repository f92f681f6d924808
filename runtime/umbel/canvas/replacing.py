"""A task that has other tasks do its work: ``self.replace`` and ``self.add_to_chord``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel.canvas import eager
from umbel.canvas.calling import sending
from umbel.canvas.chains import chain
from umbel.canvas.groups import group
from umbel.canvas.signature import PLACE, Signature, as_signature
from umbel.canvas.stamping import stamp
from umbel.errors import Ignore, ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.task import Task


class Replaced(Ignore):
    """Raised by `umbel.Task.replace`: the task ends here, and a signature runs in its place, under its id.

    Args:
        instead: what runs; it has one end.
    """

    def __init__(self, instead: Signature[Any]) -> None:
        super().__init__(f"replaced by {instead!r}")
        self.instead = instead


def replaced_by(task: Task[..., Any], sig: Any) -> Replaced:
    """Return what ends a task in whose place a signature runs.

    Raises:
        ImproperlyConfigured: an empty chain, a signature that was added to a chord, or no task runs that could be replaced.
    """
    whole = as_signature(sig, task.app, clone=True)
    if task.request.called_directly:
        raise ImproperlyConfigured(
            f"{task.name} was called directly, not as a task: there is nothing that {whole!r} could replace"
        )
    if PLACE in whole.options:
        raise ImproperlyConfigured(
            f"{task.name} cannot be replaced by {whole!r}, which was added to a chord (add_to_chord with lazy=True): send it "
            "instead, and return"
        )
    if isinstance(whole, chain):
        if not whole.tasks:
            raise ImproperlyConfigured(
                f"{task.name} cannot be replaced by an empty chain: give it a signature at least"
            )
        if isinstance(whole.tasks[-1], group):
            whole = whole | _accumulate(task)
    elif isinstance(whole, group):
        whole = whole | _accumulate(task)
    if task.request.stamps:
        stamp(whole, None, False, dict(task.request.stamps))
    task.on_replace(whole)
    return Replaced(whole)


def _accumulate(task: Task[..., Any]) -> Signature[Any]:
    return Signature("umbel.accumulate", kwargs={"index": 0}, app=task.app)


def add_to_chord(task: Task[..., Any], sig: Any, lazy: bool) -> Any:
    """See `umbel.Task.add_to_chord`."""
    whole = as_signature(sig, task.app)
    request = task.request
    if request.is_eager or request.called_directly:
        return eager.add_to_header(whole, lazy)
    return sending().add_to_chord(task, whole, lazy)
