"""Questions to workers: ``app.control.inspect()``. Supervisors answer, which run no tasks: so also while every child is busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from umbel.control.asking import Addressees, ask
from umbel.control.taskinfo import TaskInfo, unpack

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Seconds to wait for workers that do not answer. Those that do are not waited for any longer.
TIMEOUT: Final = 1.0


class Inspect:
    """Questions about the workers of an app's broker.

    Each returns ``{worker: answer}``, or None if nobody answered. The answer alone is returned where ``destination`` is one
    name, not a list.

    Args:
        app: whose workers are asked.
        destination: names of the workers to ask; all unless given.
        timeout: seconds to wait for those who do not answer.
        callback: called with ``{worker: answer}`` as they come.
        limit: end after so many answers.
        pattern: of workers' names, in place of ``destination``.
        matcher: ``glob``, or ``pcre`` for a regular expression.
    """

    def __init__(
        self,
        app: Umbel,
        destination: str | Iterable[str] | None = None,
        *,
        timeout: float = TIMEOUT,
        callback: Callable[[dict[str, Any]], object] | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        self._app = app
        self._one = destination if isinstance(destination, str) else None
        names = None if destination is None else [self._one] if self._one is not None else sorted(destination)
        self._to = Addressees(names, pattern, matcher or "glob")
        self._timeout = timeout
        self._callback = callback
        self._limit = limit

    def ask(self, command: str, **arguments: Any) -> Any:
        """Ask any question by its name, also one of `umbel.control.inspect_command`.

        Raises:
            OperationalError: the broker cannot be reached.
        """
        replies = ask(
            self._app.broker,
            command,
            {name: value for name, value in arguments.items() if value is not None},
            self._to,
            timeout=self._timeout,
            limit=self._limit,
            callback=self._callback,
        )
        if not replies:
            return None
        by_name = {reply.name: reply.value for reply in sorted(replies, key=lambda reply: reply.name)}
        return by_name.get(self._one) if self._one is not None else by_name

    def ping(self) -> Any:
        """Ask who is there: ``{"ok": "pong"}``."""
        return self.ask("ping")

    def active(self, safe: bool | None = None) -> Any:
        """Ask for the tasks that run now.

        Args:
            safe: kept for Celery's users: arguments are always shown as values.
        """
        return _unpacked(self.ask("active"), self._one)

    def reserved(self, safe: bool | None = None) -> Any:
        """Ask for the tasks that were fetched and have not begun."""
        return _unpacked(self.ask("reserved"), self._one)

    def scheduled(self, safe: bool | None = None, limit: int | None = None) -> Any:
        """Ask for the delayed tasks of the worker's queues: ``{"eta", "priority", "request"}``, the soonest first.

        They wait in Redis, not in a worker: all workers of a queue tell of the same ones.

        Args:
            limit: of each queue; 100 unless given.
        """

        def plain(listed: Any) -> Any:
            if not isinstance(listed, list):
                return listed
            return [{**item, "request": unpack(item["request"])} for item in listed]

        return _each(self.ask("scheduled", limit=limit), self._one, plain)

    def revoked(self) -> Any:
        """Ask for the ids of revoked tasks that the worker knows."""
        return self.ask("revoked")

    def registered(self, *taskinfoitems: str, builtins: bool = False) -> Any:
        """Ask for the names of the worker's tasks: ``["shop.mail [queue=mail]"]``.

        Args:
            taskinfoitems: options to show where they are set; ``rate_limit`` unless given.
            builtins: kept for Celery's users: there are no tasks built in.
        """
        return self.ask("registered", taskinfoitems=list(taskinfoitems) or None)

    registered_tasks = registered

    def query_task(self, *ids: str | Iterable[str]) -> Any:
        """Ask where tasks are: ``{id: [state, task]}`` with state ``active``, ``reserved`` or ``ready`` (it has ended here)."""
        wanted = [one for given in ids for one in ([given] if isinstance(given, str) else given)]

        def plain(found: Any) -> Any:
            if not isinstance(found, dict) or "error" in found:
                return found
            return {task_id: [state, unpack(info)] for task_id, (state, info) in found.items()}

        return _each(self.ask("query_task", ids=wanted), self._one, plain)

    def stats(self) -> Any:
        """Ask for figures: tasks done, slots, processes, queues, memory, how long the worker has run."""
        return self.ask("stats")

    def active_queues(self) -> Any:
        """Ask for the queues that the worker consumes."""
        return self.ask("active_queues")

    def conf(self, with_defaults: bool = False) -> Any:
        """Ask for the worker's settings, without secrets.

        Args:
            with_defaults: also those at their defaults.
        """
        return self.ask("conf", with_defaults=with_defaults)

    def report(self) -> Any:
        """Ask for what a bug report should say: ``{"ok": text}``."""
        return self.ask("report")


def _each(answer: Any, one: str | None, change: Callable[[Any], Any]) -> Any:
    """Change the answer of each worker."""
    if answer is None or one is not None:
        return None if answer is None else change(answer)
    return {name: change(value) for name, value in answer.items()}


def _unpacked(answer: Any, one: str | None) -> Any:
    def plain(listed: Any) -> Any:
        return [unpack(info) for info in listed] if isinstance(listed, list) else listed

    return _each(answer, one, plain)


__all__ = ["TIMEOUT", "Inspect", "TaskInfo"]
