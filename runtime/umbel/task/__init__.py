"""A task: a function with a name, options, and ways to have it run elsewhere."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast

from umbel import retrying
from umbel.annotating import apply_to
from umbel.arguments import Arguments
from umbel.composing import Composable
from umbel.context import Request, current_app, current_request, enter, leave
from umbel.errors import ImproperlyConfigured
from umbel.keying import CallKey
from umbel.options import CallOptions, check_arguments, check_task_options
from umbel.publishing import Plan
from umbel.result import AsyncResult, EagerResult
from umbel.tailoring import add_around, tailor
from umbel.task.attributes import OPTIONS, TaskAttributes
from umbel.task.handlers import HANDLERS, TaskHandlers
from umbel.unique import unique_of

if TYPE_CHECKING:
    from datetime import datetime

    from umbel.app import Umbel
    from umbel.errors import Retry

P = ParamSpec("P")
R = TypeVar("R")


class Task(TaskAttributes, TaskHandlers, Composable[P, R]):
    """A task of an app. Made by ``@app.task``, or by subclassing, with a ``run`` method, and ``app.register_task``.

    The attributes are the options; None means that the app's setting applies.
    """

    _app: Umbel | None = None
    _plan: Plan | None = None
    _declared: tuple[Callable[..., Any] | None, bool] = (None, False)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the work. Overridden by class-based tasks; the function itself otherwise."""
        raise NotImplementedError(f"{type(self).__qualname__} has no run method: write def run(self, ...)")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, as if it were no task."""
        token = enter(Request(self._app, self, None, args, kwargs))
        try:
            return self.run(*args, **kwargs)
        finally:
            leave(token)

    # -- setting up

    def declare(self, function: Callable[..., Any] | None, options: Mapping[str, Any], *, bind: bool = False) -> None:
        """Take function and options; called once, by the decorator or by ``register_task``.

        Raises:
            TypeError, ValueError: see `umbel.options.check_task_options`.
        """
        inherited = {name: getattr(self, name) for name in OPTIONS}
        check_task_options(self.name, inherited | dict(options))
        for name, value in options.items():
            if name == "shadow_name" and value is not None:
                self.shadow_name = MethodType(value, self)  # type: ignore[method-assign]
            elif name not in ("name", "base", "shadow_name"):
                setattr(self, name, value)
        self._declared = (function, bind)
        if function is not None:
            self.run = MethodType(function, self) if bind else function  # type: ignore[method-assign]
            self.__doc__ = function.__doc__
            self.__module__ = function.__module__
            self.__name__ = getattr(function, "__name__", self.name)
            self.__qualname__ = getattr(function, "__qualname__", self.name)
            self.__wrapped__ = function
        source = function if function is not None else type(self).run
        if self.pydantic:
            from umbel.models import wrap

            self.run = wrap(self, self.run, source)  # type: ignore[method-assign]
        self._derive(function, source, bind)

    def _derive(self, function: Callable[..., Any] | None, source: Callable[..., Any], bind: bool) -> None:
        """Compute what follows from function and options."""
        for option in ("key", "unique_key"):
            if isinstance(getattr(self, option), str):
                CallKey(self.name, self.run, getattr(self, option), option)  # refuses what is no parameter
        self.uniqueness = unique_of(self)
        self.arguments = Arguments(source, skip_first=bind or function is None) if self.typing else None
        code = getattr(inspect.unwrap(source), "__code__", None)
        bound = self.run if function is None or bind else function
        self.grouping = None if self.group is None else CallKey(self.name, bound, self.group, "group")
        self.origin = (code.co_filename if code else source.__module__, getattr(source, "__qualname__", self.name))
        self.is_async = inspect.iscoroutinefunction(source)
        cls = type(self)
        self.overrides_call = cls.__call__ is not Task.__call__
        self.has_handlers = any(
            getattr(cls, name) is not getattr(Task, name) or name in vars(self) for name in HANDLERS
        )
        self.has_shadow = cls.shadow_name is not Task.shadow_name or "shadow_name" in vars(self)
        self._plan = None

    def declare_again(self, options: Mapping[str, Any]) -> None:
        """Change options of a task that was declared; raises as `declare`."""
        function, bind = self._declared
        check_task_options(self.name, {name: getattr(self, name) for name in OPTIONS} | dict(options))
        for name, value in options.items():
            setattr(self, name, value)
        self._derive(function, function if function is not None else type(self).run, bind)

    def tailor(self, values: Mapping[str, Any]) -> None:
        """Change options, handlers and other attributes; a key that begins with ``@`` puts its value around a method.

        Raises:
            ImproperlyConfigured: tasks have nothing of a name.
            TypeError, ValueError: an option that does not fit.
        """
        tailor(self, values, OPTIONS, HANDLERS)

    def annotate(self) -> None:
        """Take what the setting ``task_annotations`` says; workers and senders do so by themselves."""
        apply_to(self, self.app)

    def add_around(self, attr: str, around: Callable[[Any], Any]) -> None:
        """Put something around a method: ``around`` gets it and returns what is called in its place.

        Args:
            attr: the name of the method, ``run`` or ``__call__`` for the task itself.
            around: called once, now.
        """
        add_around(self, attr, around)

    def sets(self, option: str) -> bool:
        """Tell whether this task, or a class that it is made of, sets an option, if only to its default."""
        owners = (self, *(cls for cls in type(self).__mro__ if cls not in Task.__mro__))
        return any(option in vars(owner) for owner in owners)

    def bind(self, app: Umbel) -> None:
        """Attach the task to its app."""
        self._app = app
        type(self).on_bound(app)

    @property
    def app(self) -> Umbel:
        """The app that this task belongs to; the current one, for a shared task."""
        return self._app if self._app is not None else current_app()

    @property
    def request(self) -> Request:
        """What is known about the run under way; empty outside of one."""
        request = current_request()
        return request if request is not None and request.task is self else Request(self._app, self)

    # -- calling

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task to its queue, to be run by a worker.

        Raises:
            TypeError: the arguments do not fit the signature.
            EncodeError: an argument that JSON cannot carry.
            OperationalError: the broker cannot be reached within ``publish_timeout``; nothing was sent.
            PublishUncertain: the connection broke after sending: the task may have been sent.
        """
        app = self._app or current_app()
        plan = self._plan
        if plan is None or plan.serial != app.conf.serial or plan.app is not app:
            plan = self._plan = Plan(app, self)
        if not plan.usable:
            return self.apply_async(args, kwargs)
        if self.arguments is not None:
            self.arguments.check(self.name, args, kwargs)
        task_id, inbox = plan.send(args, kwargs)
        return AsyncResult(task_id, None, self.name, app, ignored=plan.ignore_result, inbox=inbox)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]:
        """Send the task with options.

        Args:
            args, kwargs: the arguments.
            countdown: seconds from now before which it does not begin; ``eta`` the same as a moment.
            expires: seconds from now, or a moment, after which it is not begun any more.
            queue, priority: where it waits; 9 is served first.
            task_id: an id of your own.
            time_limit, soft_time_limit: in seconds, in place of the task's.
            ignore_result: store no result.
            headers: a dict that the task finds in ``self.request.headers``.
            group: who it is sent for: the groups of a queue take turns, so that one that sends much does not delay the others.
            add_to_parent: inside of a task, note the result among the ``children`` of its own.
            durability: ``"replicated"`` returns only once a replica of Redis has the message too.
            link: signatures that are called with the result, if the task succeeds; ``link_error``: if it fails.

        Raises: as `delay`, and TypeError or ValueError for an option that does not exist or does not fit.
        """
        app = self._app or current_app()
        args, kwargs = check_arguments(self.name, args, kwargs)
        if self.arguments is not None:
            self.arguments.check(self.name, args, kwargs)
        if app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        if not _WORKFLOW.isdisjoint(options):
            from umbel import canvas

            return cast(AsyncResult[R], canvas.call(self, args, kwargs, options))
        return cast(AsyncResult[R], app.send(self.name, args, kwargs, task=self, **options))

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, once Django's transaction is committed; at once outside of one, not after a rollback. Its id is made now."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """As `apply_async`, once Django's transaction is committed; ``using`` names the database, if not the default one."""
        django = importlib.import_module("umbel.contrib.django")  # it stands above tasks: found by name
        return cast(AsyncResult[R], django.send_on_commit(self, args, kwargs, options))

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, from an event loop, which goes on with other work meanwhile."""
        import asyncio

        return await asyncio.to_thread(self.delay, *args, **kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]:
        """As `apply_async`, from an event loop, which goes on with other work meanwhile."""
        import asyncio

        return await asyncio.to_thread(self.apply_async, args, kwargs, **options)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool | None = None,
        retries: int = 0,
        **options: Unpack[CallOptions],
    ) -> EagerResult[R]:
        """Run the task here and now, as a worker would; retries follow at once, without their delay.

        Arguments and result pass through the codec, so that what a worker would refuse is refused here too.

        Args:
            args, kwargs: the arguments.
            throw: raise what the task raises; the setting ``task_eager_propagates`` unless given.
            retries: how often it is to seem retried.
            options: of the call; queue, countdown and the like have no effect.
        """
        from umbel.eager import apply

        args, kwargs = check_arguments(self.name, args, kwargs)
        if self.arguments is not None:
            self.arguments.check(self.name, args, kwargs)
        return apply(self, args, kwargs, throw=throw, retries=retries, options=options)

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """Return the result of an earlier call by its id."""
        return AsyncResult(task_id, task_name=self.name, app=self.app)

    # -- inside of a run

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """End this run and have the task run again, under the same id, with one retry more.

        Args:
            args, kwargs: other arguments than this time.
            exc: the reason; raised in place of `MaxRetriesExceededError` when there are no retries left.
            throw: raise `Retry`; otherwise return it, and the retry happens when the function returns.
            eta, countdown: when, ``default_retry_delay`` seconds from now unless given.
            max_retries: in place of the task's.
            options: ``priority``, ``expires``, ``time_limit``, ``soft_time_limit`` for the next run.

        Raises:
            Retry: this is how the worker learns of it; do not catch it.
            MaxRetriesExceededError: no retries are left, and no ``exc`` was given.
        """
        return retrying.retry(
            self, args, kwargs, exc, throw=throw, eta=eta, countdown=countdown, max_retries=max_retries, options=options
        )

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None) -> None:
        """Store a state of your own, with data (``update_state(state="PROGRESS", meta={"done": 3})``).

        Args:
            task_id: of the running task unless given.
            state: any name but those of finished tasks.
            meta: data that the codec can carry; `AsyncResult.info` returns them.

        Raises:
            ImproperlyConfigured: there is no running task to speak of.
        """
        request = self.request
        task_id = task_id or request.id
        if task_id is None:
            raise ImproperlyConfigured("update_state() outside of a task needs task_id=...")
        if request.is_eager:
            return
        self.app.store_state(task_id, state or "PROGRESS", meta, attempt=request.attempt)

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event of this run (``self.send_event("task-progress", done=3)``), where events are switched on.

        Args:
            type: begins with ``task-``.
            fields: of the event, besides ``uuid``.
        """
        request = self.request
        if request.id is not None and self.send_events and self.app.events.told is not None:
            self.app.events.told.put(type, uuid=request.id, **fields)

    async def aupdate_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None) -> None:
        """As `update_state`, from an event loop, which goes on with other work meanwhile."""
        import asyncio

        await asyncio.to_thread(self.update_state, task_id, state, meta)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of which task it is."""
            raise AttributeError(f"the task {self.name!r} ({type(self).__name__}) has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)


#: Options that make a signature of a call.
_WORKFLOW = frozenset({"link", "link_error", "stamped_headers"})


def _by_name(name: str) -> Task[..., Any]:
    return current_app().tasks[name]
