"""The app: what it is made of, its settings, its tasks, its schedule."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from umbel import signals
from umbel.app.loading import AppLoading
from umbel.app.results import AppResults
from umbel.app.sending import AppSending
from umbel.config import Settings
from umbel.context import set_default_app
from umbel.declaring import make_task, module_name
from umbel.decorating import MakeBoundTask, MakeTask
from umbel.errors import ImproperlyConfigured
from umbel.forking import ForkLock
from umbel.middleware.owning import put, take
from umbel.options import TaskOptions, check_arguments
from umbel.registry import TaskRegistry
from umbel.sharing import share_with
from umbel.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class Umbel(AppSending, AppResults, AppLoading):
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
        self._lock = ForkLock()
        self._middleware = []
        self._discover = []
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

    def __enter__(self) -> Umbel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Umbel {self.main or '(no name)'}: {len(self.tasks)} tasks>"
