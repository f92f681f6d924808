"""Umbel's own middleware: who owns which option of tasks, and what of it is done by hooks.

What has to be decided in one step with the queue (limits, unique tasks, turns of groups), or must work while the task's process
does not (time limits), is done there; these objects declare its options: docs/decisions/0031-middleware-of-hooks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from umbel import retrying
from umbel.errors import Ignore, Reject, Retry
from umbel.middleware.base import Middleware, Option
from umbel.options import TASK_RULES

if TYPE_CHECKING:
    from umbel.config import Settings
    from umbel.context import Request
    from umbel.task import Task


def _owns(*names: str) -> dict[str, Option]:
    """Return options with the rules that Umbel has for them."""
    rules = {name: TASK_RULES[name] for name in names}
    return {name: Option(test, None, expected) for name, (test, _, expected) in rules.items()}


class Retries(Middleware):
    """Runs a task again where ``autoretry_for`` says so. What ``self.retry`` raises is a `umbel.Retry` already."""

    options = _owns(
        "max_retries",
        "default_retry_delay",
        "autoretry_for",
        "dont_autoretry_for",
        "retry_kwargs",
        "retry_backoff",
        "retry_backoff_max",
        "retry_jitter",
    )

    def retry(self, request: Request, error: BaseException) -> BaseException:
        """See `Middleware.retry`."""
        if request.task is None or isinstance(error, (Retry, Ignore, Reject)):
            return error
        return retrying.automatic(request.task, error, request.retries)


class TimeLimits(Middleware):
    """Tells the worker, by a header, how long a task may run. The worker's supervisor sees to it."""

    options = _owns("time_limit", "soft_time_limit", "exclusive")

    def headers(self, task: Task[..., Any] | None, conf: Settings) -> Mapping[str, Any]:
        """See `Middleware.headers`."""
        hard = task.time_limit if task is not None and task.time_limit is not None else conf.task_time_limit
        soft = (
            task.soft_time_limit if task is not None and task.soft_time_limit is not None else conf.task_soft_time_limit
        )
        return {} if hard is None and soft is None else {"timelimit": [hard, soft]}


class Limits(Middleware):
    """Rates and numbers of tasks at once, over all workers; decided with the delivery, in Redis."""

    options = _owns("concurrency_limit", "rate_limit", "key")


class Uniqueness(Middleware):
    """One of equal tasks; decided with the publish, in Redis."""

    options = _owns("unique", "unique_for", "unique_key", "on_conflict")


class Turns(Middleware):
    """Groups that take turns; decided with publish and delivery, in Redis."""

    options = _owns("group")


class Reporting(Middleware):
    """Events, and how a call is shown in them; the worker's pen writes them."""

    options = _owns("send_events", "resultrepr_maxsize", "shadow_name")


class Models(Middleware):
    """Arguments and results as models of pydantic; wrapped around the function where the task is declared."""

    options = _owns("pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs")


#: The innermost first.
BUILTIN: Final = (Retries(), TimeLimits(), Limits(), Uniqueness(), Turns(), Reporting(), Models())
