"""How an app sends calls: one, many at once, by name or by signature, through its middleware."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Unpack, cast

from umbel import bulk, publishing
from umbel.app.connections import AppConnections
from umbel.context import current_request
from umbel.middleware.base import Call, Middleware, Which
from umbel.middleware.chain import added, hooks_of
from umbel.options import REPLICATED, CallOptions, check_arguments
from umbel.result import AsyncResult
from umbel.shards import pick
from umbel.task import Task
from umbel.unique import lock_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.canvas import Signature
    from umbel.middleware.hooks import Hooks
    from umbel.registry import TaskRegistry


class AppSending(AppConnections):
    """See the module. Mixed into `umbel.Umbel`."""

    tasks: TaskRegistry
    _middleware: list[Middleware]
    _hooks: Hooks | None = None

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[Any]:
        """Send a task by its name, without having its code. ``task_always_eager`` has no effect here.

        Args:
            name: of the task, as workers know it.
            args, kwargs: the arguments; not checked where the task is not known.
            options: see `umbel.options.CallOptions`.
        """
        args, kwargs = check_arguments(name, args, kwargs)
        if options.get("link") or options.get("link_error") or options.get("stamped_headers"):
            return self.signature(name, args, kwargs, options=options).apply_async()
        task = self.tasks.get(name)
        if task is not None and task.arguments is not None:
            task.arguments.check(name, args, kwargs)
        return self.send(name, args, kwargs, task=task, **options)

    def send(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, task: Task[..., Any] | None, **options: Any
    ) -> AsyncResult[Any]:
        """Send a call whose arguments were checked; ``task`` is None where it is not known here."""
        queue, message, delay = publishing.build(
            cast("Umbel", self), name, args, kwargs, task=task, now=time.time(), **options
        )
        call = Call(cast("Umbel", self), task, args, kwargs, message, queue, delay, options)
        if self.hooks.publish:
            return self.hooks.send(call, self._send)
        return self._send(call)

    def _send(self, call: Call) -> AsyncResult[Any]:
        task, message, queue = call.task, call.message, call.queue
        if task is not None and task.uniqueness is not None:
            task.uniqueness.mark(message, call.args, call.kwargs)
        if queue in self.conf.queue_shards:
            lock = lock_of(message)  # equal tasks have to meet, and so have those of a group
            queue = pick(queue, self.conf.queue_shards, message.headers.get("group") if lock is None else lock.name)
        durability = call.options.get("durability") or (task and task.durability)
        result = publishing.publish(
            cast("Umbel", self), queue, message, call.delay, replicated=durability == REPLICATED
        )
        parent = current_request()
        if parent is not None and call.options.get("add_to_parent", True):
            parent.add_child(result.id)
        return result

    def add_middleware(
        self, middleware: Middleware | type[Middleware], *, before: Which | None = None, after: Which | None = None
    ) -> Middleware:
        """Have a middleware take part in the life of tasks, within those that were added before it; see `umbel.middleware`.

        Call it before the tasks are declared that have its options.

        Args:
            middleware: an instance, or a class to make one of.
            before, after: another one, by name or class, that it surrounds, or by which it is surrounded.

        Raises:
            ImproperlyConfigured: the order contradicts itself, or another one has its name or owns an option of it.
        """
        one = middleware() if isinstance(middleware, type) else middleware
        added(self._middleware, one, before, after)
        self.conf.touch()
        return one

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The middleware that was added, the outermost first."""
        return tuple(self._middleware)

    @property
    def hooks(self) -> Hooks:
        """What is to be called around calls and runs: computed once, and again when settings or connections have changed."""
        hooks = self._hooks
        if hooks is None or hooks.serial != self.conf.serial:
            hooks = self._hooks = hooks_of(cast("Umbel", self))
        return hooks

    def signature(self, varies: Any, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Return a signature that this app sends: of a task, of a task's name, or one that a dict describes.

        Args:
            varies: the task, its name, a dict, or a signature to copy.
            args, kwargs: as for `umbel.canvas.Signature`.
        """
        from umbel.canvas import signature

        return signature(varies, *args, **{**kwargs, "app": self})

    subtask = signature

    def batch(self) -> AbstractContextManager[None]:
        """Collect what is sent in the block and publish it at its end, in one call per queue.

        Nothing is sent if the block raises, unless it has sent more than 50,000 messages or 64 MiB: so many go out at once. A
        block inside of another one joins it. Many small sends become fast: ``with app.batch(): [f.delay(x) for x in xs]``.
        """
        return bulk.batch(cast("Umbel", self))

    def send_many(self, calls: Iterable[Sequence[Any]]) -> list[AsyncResult[Any]]:
        """Send many calls at once, in one call per queue; see `batch`.

        Args:
            calls: of each the task or its name, then its args, kwargs, and options of the call, as far as there are any:
                ``[(add, (2, 3)), ("mail.send", ("ada",), {"subject": "hi"}, {"queue": "mail"})]``.

        Returns: the results, in order.

        Raises: as `Task.apply_async`. What is wrong with one of the calls sends none of them.
        """
        with self.batch():
            return [self._call(*call) for call in calls]

    def _call(
        self, task: Task[..., Any] | str, args: Any = None, kwargs: Any = None, options: Mapping[str, Any] | None = None
    ) -> AsyncResult[Any]:
        if isinstance(task, str):
            return self.send_task(task, args, kwargs, **cast(CallOptions, options or {}))
        if not isinstance(task, Task):
            raise TypeError(
                f"send_many() takes (task or name, args, kwargs, options) for each call, not {task!r} first"
            )
        if not options:
            args, kwargs = check_arguments(task.name, args, kwargs)
            return task.delay(*args, **kwargs)
        return task.apply_async(args, kwargs, **cast(CallOptions, options))
