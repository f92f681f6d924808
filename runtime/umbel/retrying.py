"""What ``retry`` and ``autoretry_for`` decide: whether once more, when, and with what."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from umbel import bodies
from umbel.arguments import name_argument
from umbel.backoff import exponential
from umbel.errors import EncodeError, Ignore, MaxRetriesExceededError, Reject, Retry
from umbel.ids import new_nonce
from umbel.message import LOCKED
from umbel.options import check_arguments, check_call_options
from umbel.publishing import seconds_until

if TYPE_CHECKING:
    from umbel.message import Message
    from umbel.task import Task

_OPTIONS: Final = frozenset({"priority", "expires", "time_limit", "soft_time_limit", "ignore_result"})
_CHECKED: Final = _OPTIONS | {"countdown", "eta"}
_MAX_ATTEMPT: Final = 2**16 - 1


def retry(
    task: Task[..., Any],
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    exc: BaseException | None,
    *,
    throw: bool,
    eta: datetime | None,
    countdown: float | None,
    max_retries: int | None,
    options: Mapping[str, Any],
) -> Retry:
    """See `umbel.task.Task.retry`."""
    request = task.request
    if request.called_directly:
        _raise_as_is(exc)
    _check(task.name, {**options, "countdown": countdown, "eta": eta})
    bound = request.most_retries(task.max_retries) if max_retries is None else max_retries
    if bound is not None and request.retries >= bound:
        _give_up(task, request.args, request.kwargs, exc, bound)
    if eta is not None:
        wait = seconds_until(eta, time.time(), task.app.conf.timezone)
    else:
        wait = float(task.default_retry_delay if countdown is None else countdown)
    again = Retry(exc=exc, when=max(0.0, wait))
    changed = args is not None or kwargs is not None
    call = check_arguments(
        task.name, request.args if args is None else args, request.kwargs if kwargs is None else kwargs
    )
    again.signature = (call if changed else None, dict(options))
    if throw:
        raise again from exc
    request.pending_retry = again
    return again


def _raise_as_is(exc: BaseException | None) -> None:
    """Raise what a function that was called directly, not as a task, is to raise in place of being retried."""
    import sys

    if exc is not None:
        raise exc
    current = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
    if current is not None:
        raise current
    raise Retry("the task asks to be retried, and was called directly: nobody runs it again", None)


def _check(task: str, options: Mapping[str, Any]) -> None:
    check_call_options(f"a retry of {task}", {name: options[name] for name in options if name in _CHECKED})
    for name in options:
        if name not in _CHECKED:
            remedy = (
                "a retry stays in its queue; send a new task with apply_async(queue=...)" if name == "queue" else ""
            )
            raise TypeError(
                f"retry() of {task} has no option {name!r}; "
                f"{remedy or 'there are: args, kwargs, exc, throw, eta, countdown, max_retries, ' + ', '.join(sorted(_OPTIONS))}"
            )


def _give_up(task: Task[..., Any], args: Any, kwargs: Any, exc: BaseException | None, bound: int) -> None:
    if exc is not None:
        raise exc
    raise MaxRetriesExceededError(
        f"{task.name}[{task.request.id}] was retried {bound} times, as its max_retries allows",
        task_args=args,
        task_kwargs=kwargs,
    )


def automatic(task: Task[..., Any], error: BaseException, retries: int) -> Retry | BaseException:
    """Return what ``autoretry_for`` makes of an exception: the `Retry` to do, or the exception to fail with."""
    wanted = tuple_of(task.autoretry_for)
    if not wanted or not isinstance(error, wanted) or isinstance(error, (Ignore, Reject, Retry)):
        return error
    if isinstance(error, tuple_of(task.dont_autoretry_for)):
        return error
    how = dict(task.retry_kwargs)
    if task.retry_backoff:
        factor = 1.0 if task.retry_backoff is True else float(task.retry_backoff)
        how["countdown"] = exponential(retries, factor=factor, cap=task.retry_backoff_max, jitter=task.retry_jitter)
    how.setdefault("exc", error)
    try:
        return task.retry(**{**how, "throw": False})
    except Exception as last:
        return last


def tuple_of(classes: Any) -> tuple[type[BaseException], ...]:
    """Return one exception class, or several, as a tuple."""
    return (classes,) if isinstance(classes, type) else tuple(classes)


def next_message(task: Task[..., Any], message: Message, again: Retry, *, now: float) -> Message:
    """Return the message of the next attempt: same id, one retry more.

    Raises:
        EncodeError: new arguments that the codec cannot carry.
    """
    call, options = again.signature if again.signature is not None else (None, {})
    headers = dict(message.headers)
    headers["retries"] = headers.get("retries", 0) + 1
    since = max(0.0, now - message.enqueued_ms / 1000) if message.enqueued_ms else 0.0
    headers["delay"] = since + again.when
    if options.get("expires") is not None:
        headers["expires"] = since + seconds_until(options["expires"], now, task.app.conf.timezone)
    if options.get("ignore_result") is not None:
        headers["ignore_result"] = bool(options["ignore_result"])
    hard, soft = headers.get("timelimit", (None, None))
    hard, soft = options.get("time_limit", hard), options.get("soft_time_limit", soft)
    if hard is not None or soft is not None:
        headers["timelimit"] = [hard, soft]
    if call is None:
        body = bodies.resealed(headers, message.body) if options else message.body
    else:
        if "w" in headers:  # the new arguments stand for what the message does not carry too
            headers["w"] = {name: value for name, value in headers["w"].items() if name not in ("t", "e")}
        try:
            body = bodies.repacked(headers, call)
        except EncodeError as error:
            raise name_argument(error, task.name, task.arguments) from None
    priority = options.get("priority")
    return replace(
        message,
        headers=headers,
        body=body,
        priority=message.priority if priority is None else priority,
        attempt=min(message.attempt + 1, _MAX_ATTEMPT),
        flags=message.flags & LOCKED,
        nonce=new_nonce(),
    )
