"""Commands to workers: ``app.control``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from umbel.control.asking import Addressees, ask, tell
from umbel.control.inspect import TIMEOUT, Inspect
from umbel.control.signals import number_of
from umbel.dropping import purge
from umbel.errors import ImproperlyConfigured
from umbel.marks import stamp_marks
from umbel.pace import rate_interval
from umbel.workflow.revoking import whole

if TYPE_CHECKING:
    from umbel.app import Umbel

#: What `Control.broadcast` returns: ``[{worker: answer}, ...]`` with ``reply=True``, else how many workers heard it.
Replies = Any


class Control:
    """What can be asked of, and told to, the workers of an app.

    Commands reach the workers that listen in this moment; only `revoke` also reaches those that start later. Each takes
    ``destination`` (names), ``pattern`` and ``matcher``, ``reply``, ``timeout``, ``limit`` and ``callback``, see `broadcast`.

    Args:
        app: whose broker carries the commands.
    """

    def __init__(self, app: Umbel) -> None:
        self._app = app

    def inspect(
        self,
        destination: str | Iterable[str] | None = None,
        timeout: float = TIMEOUT,
        callback: Callable[[dict[str, Any]], object] | None = None,
        *,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> Inspect:
        """Return questions about all workers, or about some; see `Inspect`."""
        return Inspect(
            self._app,
            destination,
            timeout=timeout,
            callback=callback,
            limit=limit,
            pattern=pattern,
            matcher=matcher,
        )

    def broadcast(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        destination: str | Iterable[str] | None = None,
        reply: bool = False,
        timeout: float = TIMEOUT,
        limit: int | None = None,
        callback: Callable[[dict[str, Any]], object] | None = None,
        *,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> Replies:
        """Send a command by its name, also one of `umbel.control.control_command`.

        Args:
            command: its name.
            arguments: of the command.
            destination: names of workers; all unless given.
            reply: wait for answers.
            timeout: seconds to wait for workers that do not answer; it ends earlier once all have.
            limit: end after so many answers.
            callback: called with ``{worker: answer}`` as they come.
            pattern: of workers' names, in place of ``destination``.
            matcher: ``glob``, or ``pcre`` for a regular expression.

        Returns: with ``reply`` a list of ``{worker: answer}``, else how many workers heard it, addressed or not.

        Raises:
            OperationalError: the broker cannot be reached.
        """
        names = [destination] if isinstance(destination, str) else None if destination is None else sorted(destination)
        to = Addressees(names, pattern, matcher or "glob")
        given = arguments or {}
        if not (reply or callback is not None):
            return tell(self._app.broker, command, given, to)
        replies = ask(self._app.broker, command, given, to, timeout=timeout, limit=limit, callback=callback)
        return [{one.name: one.value} for one in replies]

    def ping(self, destination: str | Iterable[str] | None = None, timeout: float = TIMEOUT, **how: Any) -> Replies:
        """Return ``[{worker: {"ok": "pong"}}, …]`` of the workers that answer."""
        return self.broadcast("ping", None, destination, True, timeout, **how)

    def revoke(
        self,
        task_id: str | Iterable[str],
        destination: str | Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int | None = None,
        **how: Any,
    ) -> Replies:
        """Keep tasks from running, for a month, on all workers, also on those that start later.

        Args:
            task_id: one id or several.
            destination: names of the workers that are to terminate the task; all unless given.
            terminate: also end those that run already, by ending their process.
            signal: to send to the process first, as ``"SIGTERM"``; it is killed a second later. Killed at once unless given.
            how: see `broadcast`.

        Raises:
            ImproperlyConfigured: the signal does not end a process.
            OperationalError: the broker cannot be reached.
        """
        number_of(signal)
        ids = [task_id] if isinstance(task_id, str) else [str(one) for one in task_id]
        if not ids:
            return [] if how.get("reply") else 0
        ids = whole(self._app, ids)
        heard = self._app.broker.revoke(ids)
        if not terminate and not how.get("reply"):
            return heard
        arguments = {"task_id": ids, "terminate": terminate, "signal": signal}
        return self.broadcast("revoke", arguments, destination, **how)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: str | Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int | None = None,
        **how: Any,
    ) -> Replies:
        """Keep all tasks from running that bear one of these stamps, for a month, also those that are sent later.

        Args:
            headers: each name of a stamp with a value, or a list of them.
            destination, terminate, signal, how: see `revoke`.
        """
        return self.revoke(stamp_marks(headers), destination, terminate, signal, **how)

    def terminate(
        self,
        task_id: str | Iterable[str],
        destination: str | Iterable[str] | None = None,
        signal: str | int | None = None,
        **how: Any,
    ) -> Replies:
        """Keep tasks from running, and end those that run; see `revoke`."""
        return self.revoke(task_id, destination, True, signal, **how)

    def enable_events(self, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers write what happens to their tasks as events, until they end.

        Args:
            destination: names of workers; all unless given.
            how: see `broadcast`.
        """
        return self.broadcast("enable_events", None, destination, **how)

    def disable_events(self, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers write no events any more; see `enable_events`."""
        return self.broadcast("disable_events", None, destination, **how)

    def shutdown(self, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers finish what they run, give the rest back, and end, as on SIGTERM."""
        return self.broadcast("shutdown", None, destination, **how)

    def purge(self, queues: Iterable[str] | None = None, *, tell: bool = True) -> int:
        """Drop all waiting and delayed tasks of queues; return how many. Running tasks are not touched.

        Args:
            queues: their names; those that the app's settings and tasks name unless given.
            tell: who waits for such a task gets `umbel.errors.TaskRevokedError`, and its workflow ends. Without, all is dropped at
                once, and nobody told.
        """
        names, broker = self._app.queue_names() if queues is None else queues, self._app.broker
        return sum(purge(broker, name) if tell else broker.purge(name) for name in sorted(names))

    discard_all = purge

    # -- how workers work, until they end

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: str | Iterable[str] | None = None,
        **how: Any,
    ) -> Replies:
        """Change the time limits of a task, for the runs that begin from now on.

        They win over those of the task and of the call. A new process of the worker keeps them, a new worker does not.

        Args:
            task_name: of the task.
            soft, hard: in seconds; both None for the task's own ones again.
            destination: names of workers; all unless given.
            how: see `broadcast`.
        """
        for name, value in (("soft", soft), ("hard", hard)):
            if value is not None and not value > 0:
                raise ImproperlyConfigured(f"{name}={value!r}: a time limit is seconds above 0, or None for no change")
        return self.broadcast("time_limit", {"task_name": task_name, "soft": soft, "hard": hard}, destination, **how)

    def rate_limit(
        self,
        task_name: str,
        rate_limit: str | float | None,
        destination: str | Iterable[str] | None = None,
        **how: Any,
    ) -> Replies:
        """Change how many runs of a task may begin in a time, over all workers that are told so.

        Tasks that wait for their slot already keep it. A new process of the worker keeps the rate, a new worker does not.

        Args:
            task_name: of the task.
            rate_limit: as ``"100/m"``; 0 for none, None for the task's own again.
            destination: names of workers; all unless given.
            how: see `broadcast`.
        """
        if rate_limit not in (None, 0, "0"):
            rate_interval(rate_limit or 0)
        return self.broadcast("rate_limit", {"task_name": task_name, "rate_limit": rate_limit}, destination, **how)

    def pool_grow(self, n: int = 1, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers start ``n`` more children each."""
        return self.broadcast("pool_grow", {"n": n}, destination, **how)

    def pool_shrink(self, n: int = 1, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers end ``n`` of their children each, idle ones first; one that runs a task ends it before."""
        return self.broadcast("pool_shrink", {"n": n}, destination, **how)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        options: Any = None,
        destination: str | Iterable[str] | None = None,
        *,
        weight: int = 1,
        **how: Any,
    ) -> Replies:
        """Have workers consume one more queue.

        Args:
            queue: its name.
            exchange, exchange_type, routing_key, options: kept for Celery's users: there are no exchanges.
            destination: names of workers; all unless given.
            weight: how often it is asked, beside the others.
            how: see `broadcast`.
        """
        return self.broadcast("add_consumer", {"queue": queue, "weight": weight}, destination, **how)

    def cancel_consumer(self, queue: str, destination: str | Iterable[str] | None = None, **how: Any) -> Replies:
        """Have workers consume a queue no more: what they fetched of it goes back, what runs is finished."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination, **how)
