"""The app: tasks, settings, and the way to the broker."""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from umbel import annotating, bulk, contents, publishing, serialization, signals, states
from umbel.appnames import AppNames
from umbel.config import Settings
from umbel.context import current_request, set_default_app
from umbel.declaring import make_task, module_name
from umbel.decorating import MakeBoundTask, MakeTask
from umbel.errors import ImproperlyConfigured
from umbel.imports import ModuleMissing, import_module
from umbel.middleware.base import Call, Middleware, Which
from umbel.middleware.chain import added, hooks_of
from umbel.middleware.owning import put, take
from umbel.options import REPLICATED, CallOptions, TaskOptions, check_arguments
from umbel.record import Record
from umbel.registry import TaskRegistry
from umbel.result import AsyncResult, GroupResult, ResultSet, result_from_tuple
from umbel.result.group import bound_to
from umbel.routing import queues_in
from umbel.shards import pick, shard_names
from umbel.sharing import share_with
from umbel.task import Task
from umbel.transport import database_settings, make_broker, make_results, with_results
from umbel.unique import lock_of

if TYPE_CHECKING:
    from umbel.broker.base import Broker
    from umbel.canvas import Signature
    from umbel.events.facade import Events
    from umbel.middleware.hooks import Hooks
    from umbel.results.base import Results

P = ParamSpec("P")
R = TypeVar("R")


class Umbel(AppNames):
    """An app.

    Args:
        main: the name that tasks get which are defined in the script that runs (``__main__``).
        broker: the URL of the broker, ``redis://host:port/db``.
        backend: the URL of the result backend; the broker unless given.
        include: modules that a worker imports, besides the one that holds the app.
        set_as_current: make this the app that shared tasks and ``current_app`` mean.
        config_source: passed to `config_from_object`, with ``namespace``.
        config_source_silent: do nothing where the module of ``config_source`` is missing.
        changes: more settings, as a dict.
        task_cls: the class of this app's tasks, or its dotted name; `Task` unless given.
        strict_typing: check arguments against the function's parameters where a task is called, unless it says otherwise.
        autofinalize: `finalize` the app at the first use of its broker.
        settings: more settings, see `umbel.settings`.

    Raises:
        ImproperlyConfigured: a setting that does not exist or does not fit.
    """

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] | None = None,
        set_as_current: bool = True,
        config_source: Any = None,
        namespace: str | None = None,
        config_source_silent: bool = False,
        changes: Mapping[str, Any] | None = None,
        task_cls: type[Task[..., Any]] | str | None = None,
        strict_typing: bool = True,
        autofinalize: bool = True,
        **settings: Any,
    ) -> None:
        self.main = main
        #: Whether this process runs tasks for others.
        self.is_worker = False
        self.conf = Settings()
        given = {"broker_url": broker, "result_backend": backend, "include": include and tuple(include)}
        self.conf.update({name: value for name, value in given.items() if value is not None} | settings)
        self._autofinalize, self._strict_typing = autofinalize, strict_typing
        self._set_up_names(task_cls, changes)
        if config_source is not None:
            self.config_from_object(config_source, silent=config_source_silent, namespace=namespace)
        self.tasks = TaskRegistry()
        self._lock = threading.RLock()
        self._broker: Broker | None = None
        self._results: Results | None = None
        self._hooks: Hooks | None = None
        self._middleware: list[Middleware] = []
        self._events: Events | None = None
        self._discover: list[tuple[Callable[[], Iterable[str]], str]] = []
        signals.tell_of_connections(self.conf)
        share_with(self)
        if set_as_current:
            set_default_app(self)

    # -- settings

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from a module, an object, a class, or the dotted name of one; see `umbel.config.Settings.load`.

        Args:
            obj: the source. A name is imported at the first use of a setting.
            silent: do nothing where the module is missing.
            force: import a name at once.
            namespace: take only names that begin with it, as in ``CELERY_BROKER_URL``.
        """
        if namespace and obj == "django.conf:settings" and importlib.util.find_spec("django") is not None:
            self._django.follow_settings(self, namespace)
        self.conf.load(obj, namespace=namespace, force=force, silent=silent)

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> None:
        """Take settings from the module that an environment variable names.

        Raises:
            ImproperlyConfigured: the variable is not set.
        """
        name = os.environ.get(variable_name)
        if name:
            self.config_from_object(name, silent=silent, force=force)
        elif not silent:
            raise ImproperlyConfigured(
                f"the environment variable {variable_name} is not set: set it to a module of settings"
            )

    def setup_security(
        self,
        allowed_serializers: Iterable[str] | None = None,
        key: str | None = None,
        key_password: str | bytes | None = None,
        cert: str | None = None,
        store: str | None = None,
        digest: str | None = None,
        serializer: str = "json",
    ) -> None:
        """Sign what this app sends, and have its workers refuse what nobody has signed whom they trust.

        Args:
            allowed_serializers: that are taken unsigned too.
            key, key_password, cert, store, digest: in place of the settings ``security_key``, ``security_key_password``,
                ``security_certificate``, ``security_cert_store`` and ``security_digest``; names of files and folders.
            serializer: what encodes the arguments that are signed.

        Raises:
            ImproperlyConfigured: a file is missing or cannot be used, or `cryptography` is not installed.
        """
        from umbel.security.setup import setup_security

        setup_security(self, allowed_serializers, key, key_password, cert, store, digest, serializer)

    # -- tasks

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, *, bind: Literal[True], **options: Unpack[TaskOptions]) -> MakeBoundTask: ...
    @overload
    def task(self, *, bind: Literal[False] = ..., **options: Unpack[TaskOptions]) -> MakeTask: ...
    def task(self, *function: Any, bind: bool = False, **options: Any) -> Any:
        """Make a function a task: ``@app.task``, or ``@app.task(max_retries=5, …)``.

        Args:
            function: what runs; with ``bind`` its first parameter is the task itself.
            options: see `umbel.options.TaskOptions`.

        Raises:
            TypeError, ValueError: an option that does not exist or does not fit.
            AlreadyRegistered: another function has this name.
        """

        def make(function: Callable[..., Any]) -> Task[..., Any]:
            if not self._strict_typing:
                options.setdefault("typing", False)
            base = None if self._task_cls is None else self.Task
            own, others = take(str(options.get("name") or getattr(function, "__name__", "")), options, self._middleware)
            task = make_task(function, bind, others, main=self.main, base=base, naming=self.gen_task_name)
            put(task, own)
            task.bind(self)
            self.tasks.register(task)
            return task

        return make(*function) if function else make

    def register_task(self, task: Task[P, R] | type[Task[P, R]], **options: Any) -> Task[P, R]:
        """Register a class-based task: a subclass of `Task` with a ``run`` method, or an instance of one."""
        instance = task() if isinstance(task, type) else task
        cls = type(instance)
        instance.name = (
            options.get("name") or instance.name or f"{module_name(cls.__module__, self.main)}.{cls.__qualname__}"
        )
        own, others = take(instance.name, options, self._middleware)
        instance.declare(None, others)
        put(instance, own)
        instance.bind(self)
        self.tasks.register(instance)
        return instance

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str = "tasks",
        force: bool = False,
    ) -> None:
        """Have workers import ``<package>.<related_name>`` of each package; one that has no such module is passed over.

        Args:
            packages: their names, or a function that returns them; Django's installed apps unless given.
            related_name: of the module in each.
            force: import at once.
        """
        if isinstance(packages, str):
            raise TypeError(f"autodiscover_tasks() takes a list of packages, not a text: write [{packages!r}]")
        if packages is None and not self._django.in_use():
            raise ImproperlyConfigured(
                "autodiscover_tasks() without packages asks Django for them, and DJANGO_SETTINGS_MODULE is not set or Django is "
                "not installed: write autodiscover_tasks(['package', …])"
            )
        given = self._django.packages if packages is None else packages
        self._discover.append((given if callable(given) else lambda: given, related_name))
        if force:
            self._import_discovered()

    def import_modules(self, include: Iterable[str] = ()) -> None:
        """Import all that defines tasks: ``imports``, ``include``, and what `autodiscover_tasks` names; then `finalize`.

        Args:
            include: more modules, as the command line names them.

        Raises:
            ImproperlyConfigured: a module is missing, or importing it failed.
        """
        if "DJANGO_SETTINGS_MODULE" in os.environ and self._django.in_use():
            self._django.set_up()
        signals.import_modules.send(self)
        for setting in ("imports", "include"):
            for name in self.conf[setting]:
                import_module(name, purpose=setting)
        self._import_discovered()
        for name in include:
            import_module(name, purpose="--include")
        if self._autofinalize:
            self.finalize(auto=True)

    def prepare_worker(self, include: Iterable[str] = ()) -> None:
        """Import all that a worker needs, in the process from which its children are forked.

        Args:
            include: more modules, as the command line names them.

        Raises:
            ImproperlyConfigured: a module is missing, or importing it failed.
        """
        self.import_modules(include)
        annotating.apply(self)
        contents.check(self.conf)
        if "DJANGO_SETTINGS_MODULE" in os.environ and self._django.in_use():
            self._django.prepare_worker(self)
        self.is_worker = True

    @property
    def _django(self) -> Any:
        # It stands above the app: found by name, where it is needed.
        return importlib.import_module("umbel.contrib.django")

    def child_started(self) -> None:
        """Take note that this process is a child of a worker: nothing is shared with the process it was forked from."""
        self._lock = threading.RLock()
        self.on_after_fork.send(self)

    def queue_names(self) -> set[str]:
        """Return the queues that settings and tasks name: the default one, those of tasks, those of fixed routes."""
        annotating.apply(self)
        names = {self.conf.task_default_queue}
        names |= {getattr(task.queue, "name", task.queue) for task in self.tasks.values() if task.queue}
        names |= queues_in(self.conf.task_routes)
        names |= {queue.name for queue in self.conf.task_queues or ()}
        return {shard for name in names for shard in shard_names(name, self.conf.queue_shards)}

    def consumed_queues(self) -> set[str]:
        """Return the queues of workers whose command line names none."""
        named: Iterable[str] | None = self.conf.worker_queues
        if named is None and self.conf.task_queues is not None:
            named = [queue.name for queue in self.conf.task_queues]
        if named is None:
            return self.queue_names()
        return {shard for name in named for shard in shard_names(name, self.conf.queue_shards)}

    def _import_discovered(self) -> None:
        for packages, related in self._discover:
            for package in packages():
                import_module(package, purpose="autodiscover_tasks")
                try:
                    import_module(f"{package}.{related}", purpose="autodiscover_tasks")
                except ModuleMissing:
                    continue

    # -- sending

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
        queue, message, delay = publishing.build(self, name, args, kwargs, task=task, now=time.time(), **options)
        call = Call(self, task, args, kwargs, message, queue, delay, options)
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
        result = publishing.publish(self, queue, message, call.delay, replicated=durability == REPLICATED)
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
            hooks = self._hooks = hooks_of(self)
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
        return bulk.batch(self)

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

    def AsyncResult(self, task_id: str, **more: Any) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """Return the result of an earlier call by its id; see `umbel.AsyncResult` for what else it takes."""
        return AsyncResult(task_id, app=self, **more)

    def ResultSet(self, results: Iterable[Any] = ()) -> ResultSet[Any]:  # noqa: N802 - Celery's name
        """Return results of this app as a set."""
        return ResultSet(results, app=self)

    @property
    def GroupResult(self) -> type[GroupResult[Any]]:  # noqa: N802 - Celery's name
        """The class of results of groups, bound to this app: ``app.GroupResult.restore(id)``."""
        return bound_to(self)

    def result_from_tuple(self, form: Any) -> Any:
        """Return the result that ``as_tuple()`` describes."""
        return result_from_tuple(form, self)

    def store_state(self, task_id: str, state: str, meta: Any, *, attempt: int = 0) -> bool:
        """Store a state that is not final, with data; False if the task has ended meanwhile, or a later attempt runs."""
        codec = serialization.by_name(self.conf.result_serializer)
        extra = {} if codec.content_type == serialization.JSON else {"content_type": codec.content_type}
        if state in states.READY_STATES:
            raise ImproperlyConfigured(
                f"the state {state} says that a task has ended: return or raise in the task instead"
            )
        if state in states.EXCEPTION_STATES:
            raise ImproperlyConfigured(f"the state {state} is written by self.retry() only: choose another name")
        record = Record(state, codec.encode(meta), attempt, int(time.time() * 1000), extra)
        return self.results.store(task_id, record, self.conf.result_ttl)

    # -- schedules

    def add_periodic_task(
        self,
        schedule: float | timedelta | Any,
        task: Task[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Add an entry to ``beat_schedule``.

        Args:
            schedule: seconds, a timedelta, or a ``crontab(...)``.
            task: the task or its name.
            args, kwargs: its arguments.
            name: of the entry; made of the task and its arguments unless given.
            options: of each call, as for ``apply_async``.

        Returns: the name of the entry.
        """
        task_name = task if isinstance(task, str) else task.name
        kwargs = dict(kwargs or {})
        args, kwargs = check_arguments(task_name, args, kwargs)
        shown = ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())])
        entry_name = name or f"{task_name}({shown})"
        entry = {
            "task": task_name,
            "schedule": schedule,
            "args": tuple(args),
            "kwargs": dict(kwargs),
            "options": options,
        }
        self.conf.beat_schedule = {**self.conf.beat_schedule, entry_name: entry}
        return entry_name

    # -- the way to the broker

    @property
    def broker(self) -> Broker:
        """The broker, connected at its first use.

        Raises:
            ImproperlyConfigured: no broker is set, or its URL cannot be used.
        """
        if self._broker is None:
            if self._autofinalize:
                self.finalize(auto=True)
            with self._lock:
                if self._broker is None:
                    conf = self.conf
                    url = self.broker_url()
                    made = make_broker(url, prefix=conf.key_prefix, publish_timeout=conf.publish_timeout)
                    self._broker = with_results(made, url, self.results_url(), lambda: self.results)
        return self._broker

    @property
    def results(self) -> Results:
        """The result backend, connected at its first use; the broker's Redis unless ``result_backend`` says otherwise."""
        if self._results is None:
            with self._lock:
                if self._results is None:
                    conf = self.conf
                    self._results = make_results(
                        self.results_url(), prefix=conf.key_prefix, database=database_settings(conf)
                    )
        return self._results

    backend = results

    @property
    def events(self) -> Events:
        """What reads, adds up and sends events: ``Receiver``, ``State``, ``Dispatcher``; see `umbel.events`."""
        if self._events is None:
            from umbel.events.facade import Events

            self._events = Events(self)
        return self._events

    def results_url(self) -> str:
        """Return the URL of the result backend."""
        return self.conf.result_backend or self.broker_url()

    def broker_url(self) -> str:
        """Return the broker's URL.

        Raises:
            ImproperlyConfigured: none is set.
        """
        url: str | None = self.conf.broker_url
        if url is None:
            raise ImproperlyConfigured(
                "no broker is set: give Umbel(broker='redis://localhost:6379/0'), the environment variable UMBEL_BROKER_URL, "
                "or -b on the command line"
            )
        return url

    @property
    def control(self) -> Any:
        """Commands to workers: ``revoke``, ``shutdown``, ``ping``, ``inspect()``, ``purge``; see `umbel.control`."""
        # The control stands a floor above the app: found by name, not imported.
        return importlib.import_module("umbel.control.commands").Control(self)

    @property
    def dead(self) -> Any:
        """The dead letters of all queues: ``find``, ``get``, ``retry``, ``purge``; see `umbel.control.deadletters`."""
        return importlib.import_module("umbel.control.deadletters").DeadLetters(self)

    def close(self) -> None:
        """Drop all connections; the next use connects anew."""
        with self._lock:
            broker, self._broker = self._broker, None
            results, self._results = self._results, None
            events, self._events = self._events, None
            self.conf.touch()
        for part in (events, results, broker):
            if part is not None:
                part.close()

    def __enter__(self) -> Umbel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Umbel {self.main or '(no name)'}: {len(self.tasks)} tasks>"
