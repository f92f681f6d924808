"""Run a signature in the calling process, with what a worker would make of it: errors, callbacks, errbacks, replacements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from umbel import failure, states
from umbel.canvas.chains import chain
from umbel.canvas.chords import chord
from umbel.canvas.completing import completed
from umbel.canvas.errbacks import takes_failure
from umbel.canvas.freezing import group_result, set_parent
from umbel.canvas.groups import group
from umbel.canvas.plain import as_list
from umbel.canvas.signature import PLACE, Signature, as_signature
from umbel.canvas.stamping import call_options
from umbel.clock import wall_ms
from umbel.context import Request, enter, leave
from umbel.errors import ChordError
from umbel.ids import new_task_id
from umbel.logs import get_logger
from umbel.message import Message
from umbel.record import Record
from umbel.result import EagerResult, GroupResult, exception_of

if TYPE_CHECKING:
    from umbel.app import Umbel

_HOSTNAME: Final = "eager"


@dataclass(slots=True)
class _Added:
    """A signature that was added to a header; ``result`` once it has run."""

    sig: Signature[Any]
    result: Any = None


#: What tasks of the header under way have added to it.
_added: ContextVar[list[_Added] | None] = ContextVar("umbel_eager_header", default=None)


def apply(
    sig: Signature[Any], args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Any:
    """See `umbel.canvas.Signature.apply`; None for an empty chain."""
    given = dict(options)
    throw = given.pop("throw", None)
    return only_member(sig, _run(completed(sig, args, kwargs, given), throw))


def _run(sig: Signature[Any], throw: bool | None) -> Any:
    place = sig.options.pop(PLACE, None)
    if place is not None:
        return _fill(sig, place, throw)
    if isinstance(sig, chain):
        return _run_chain(sig, throw)
    if isinstance(sig, group):
        return _run_group(sig, throw)
    if isinstance(sig, chord):
        return _run_chord(sig, throw)
    options = {name: value for name, value in call_options(sig.options).items() if name != "add_to_parent"}
    return sig.type.apply(sig.args, sig.kwargs, throw=throw, **options)


def _run_chain(sig: chain[Any], throw: bool | None) -> Any:
    before: Any = None
    for index, part in enumerate(sig.tasks):
        if before is not None and not before.successful():
            rest = chain.of(sig.tasks[index:], app=sig.app).freeze()
            set_parent(rest, before)
            return _spoiled(rest, before, last=True)
        result = _run(part if before is None else completed(part, (before.get(),)), throw)
        set_parent(result, before)
        before = result
    return before


def _run_group(sig: group[Any], throw: bool | None) -> Any:
    results = [_run(task, throw) for task in sig.flat()]
    return group_result(sig.app, sig.id or new_task_id(), results)


def only_member(sig: Signature[Any], result: Any) -> Any:
    """Return the result of a call: of a group whose only member ends in a group that of the latter, as in Celery."""
    alone = isinstance(sig, group) and isinstance(result, GroupResult) and len(result.results) == 1
    return result.results[0] if alone and isinstance(result.results[0], GroupResult) else result


def _run_chord(sig: chord[Any], throw: bool | None) -> Any:
    added: list[_Added] = []
    token = _added.set(added)
    try:
        results = [_run(task, throw) for task in group(sig.tasks).flat()]
        for entry in added:  # which may grow by it
            entry.result = _run(completed(entry.sig), throw) if entry.result is None else entry.result
            results.append(entry.result)
    finally:
        _added.reset(token)
    above = group_result(sig.app, sig.id or new_task_id(), results)
    ends = [end for result in results for end in _finals(result)]
    failed = next((end for end in ends if not end.successful()), None)
    if failed is None:
        result = _run(completed(sig.body, ([_value_of(result) for result in results],)), throw)
    else:
        result = _failed_body(sig, failed)
    set_parent(result, above)
    return result


def _finals(result: Any) -> list[Any]:
    """Return the results that a member of a header gives to the body."""
    if isinstance(result, EagerResult):
        return [result]
    return [end for member in result.results for end in _finals(member)]


def _value_of(result: Any) -> Any:
    """Return what a member of a header gives to the body: a list if it ends in a group."""
    return result.get() if isinstance(result, EagerResult) else [_value_of(member) for member in result.results]


def _failed_body(sig: chord[Any], failed: EagerResult[Any]) -> Any:
    """Fail a body that is not run, and call its errbacks."""
    error = ChordError(f"Dependency {failed.id} raised {_error_of(failed)!r}")
    record = _failure(error)
    result = _spoiled(sig.body.freeze(), EagerResult.of(failed.id, record, error, sig.app), last=True)
    for task, end in zip(_last_tasks(sig.body), _finals(result), strict=False):
        request = Request(sig.app, None, Message({"id": end.id, "task": task.task}, b""), task.args, task.kwargs)
        errbacks(sig.app, as_list(task.options.get("link_error")), end.id, request, error)
    return result


def _last_tasks(sig: Signature[Any]) -> list[Signature[Any]]:
    if isinstance(sig, chain):
        return _last_tasks(sig.tasks[-1])
    if isinstance(sig, chord):
        return _last_tasks(sig.body)
    if isinstance(sig, group):
        return [last for task in sig.flat() for last in _last_tasks(task)]
    return [sig]


def _spoiled(result: Any, cause: Any, *, last: bool) -> Any:
    """Return the results of parts that are not run: the last ones end as what kept them from running, the others never."""
    bad = next(end for end in _finals(cause) if not end.successful())
    if not hasattr(result, "results"):
        parent = result.parent
        if parent is not None and parent is not cause and not isinstance(parent, EagerResult):
            parent = _spoiled(parent, cause, last=False)
        if not last:
            return EagerResult.of(result.id, Record(states.PENDING, b""), None, result.app, result.task_name, parent)
        error = _error_of(bad)
        record = bad.final if bad.state in states.PROPAGATE_STATES else _failure(error)
        return EagerResult.of(result.id, record, error, result.app, result.task_name, parent)
    members = [_spoiled(member, cause, last=last) for member in result.results]
    whole = group_result(result.app, result.id, members)
    whole.parent = result.parent
    return whole


def _error_of(end: Any) -> BaseException:
    """Return why a task has no value: what it raised, also where that was no failure, as `Ignore`."""
    return end.result if isinstance(end.result, BaseException) else exception_of(end.final)


def _failure(error: BaseException) -> Record:
    return Record(states.FAILURE, failure.encode(error), 0, wall_ms(), {"worker": _HOSTNAME})


def callbacks(links: Any, value: Any, parent_id: str, root_id: str) -> None:
    """Run the callbacks of a task that succeeded."""
    for link in as_list(links):
        apply(as_signature(link), (value,), None, {"parent_id": parent_id, "root_id": root_id})


def errbacks(app: Umbel, links: Any, task_id: str, request: Request, error: BaseException) -> None:
    """Run the errbacks of a task that failed, in the style that each of them takes."""
    for link in as_list(links):
        call = as_signature(link)
        if call.subtask_type is not None or not takes_failure(app.tasks.get(call.task)):
            apply(call, (task_id,), None, {"parent_id": task_id, "root_id": request.root_id or task_id})
            continue
        token = enter(request)
        try:
            call(request, error, failure.traceback_of(error))
        except Exception:
            get_logger("umbel.task").exception("errback.failed", extra={"task": call.task, "id": task_id})
        finally:
            leave(token)


def add_to_header(sig: Signature[Any], lazy: bool) -> Any:
    """Add a signature to the header that the running task is a member of; see `umbel.Task.add_to_chord`.

    What nobody has sent by the end of the header is run there.

    Raises:
        ValueError: it is a member of none.
    """
    added = _added.get()
    if added is None:
        raise ValueError("the task is no member of a chord's header: nothing can be added to it")
    result = sig.freeze()
    added.append(_Added(sig.clone()))
    sig.options[PLACE] = len(added) - 1
    return sig if lazy else result


def _fill(sig: Signature[Any], place: int, throw: bool | None) -> Any:
    """Run a signature that was added to the header under way, unless that was done before; return its result."""
    added = _added.get() or []
    entry = added[place] if place < len(added) else _Added(sig)
    if entry.result is None:
        entry.result = _run(sig, throw)
    return entry.result
