"""What an app has besides tasks and sending: Celery's further names, each in a few lines."""

from __future__ import annotations

import importlib
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from umbel.context import current_request, set_default_app
from umbel.errors import ImproperlyConfigured
from umbel.forking import ForkLock
from umbel.signals import Signal

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from umbel.app import Umbel
    from umbel.config import Settings
    from umbel.task import Task

    AnyTask: TypeAlias = Task[..., Any]


class AppNames:
    """See the module. Mixed into `umbel.Umbel`."""

    conf: Settings
    main: str | None
    is_worker: bool
    _task_cls: type[AnyTask] | str | None
    _finalized: bool
    _lock: ForkLock

    def _set_up_names(self, task_cls: type[AnyTask] | str | None, changes: Mapping[str, Any] | None) -> None:
        self._task_cls = task_cls
        self._finalized = False
        self._oid = str(uuid.uuid4())
        self._threads = threading.local()
        #: The app is about to be used, and its settings are about to be read. Sent by `finalize`.
        self.on_configure = Signal("on_configure")
        #: The settings were read: the moment for ``add_periodic_task``.
        self.on_after_configure = Signal("on_after_configure", ("source",))
        #: All tasks are there, and the app is about to be used.
        self.on_after_finalize = Signal("on_after_finalize")
        #: This process was forked by a worker, to run tasks.
        self.on_after_fork = Signal("on_after_fork")
        if changes:
            self.conf.update(changes)

    # -- settings

    def config_from_cmdline(self, argv: Iterable[str], namespace: str = "") -> None:
        """Take settings from arguments such as ``task_time_limit=60`` or ``task.time_limit=60``; they win over all else.

        Args:
            argv: the arguments.
            namespace: what a name means that begins with a dot: ``.concurrency`` with ``worker``.

        Raises:
            ImproperlyConfigured: an argument without ``=``, a name that does not exist, or a value that does not fit.
        """
        given: dict[str, Any] = {}
        for argument in argv:
            name, equals, value = argument.partition("=")
            if not equals:
                raise ImproperlyConfigured(f"{argument!r} is no setting: write it as name=value")
            given[(namespace + name if name.startswith(".") else name).replace(".", "_").lower()] = value
        self.conf.set_command_line(given)

    def add_defaults(self, source: Any) -> None:
        """Give settings that hold where nothing else says anything; see `umbel.config.Settings.add_defaults`."""
        self.conf.add_defaults(source)

    def prepare_config(self, conf: Settings) -> Settings:
        """Return the settings, unchanged; for subclasses."""
        return conf

    def either(self, default_key: str, *defaults: Any) -> Any:
        """Return the first of ``defaults`` that is not None, else a setting."""
        return next((value for value in defaults if value is not None), self.conf[default_key])

    @property
    def timezone(self) -> ZoneInfo:
        """The zone of schedules and of naive times."""
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.conf.timezone)

    def now(self) -> datetime:
        """Return the time in the app's zone."""
        return datetime.now(self.timezone)

    def uses_utc_timezone(self) -> bool:
        """Tell whether the app's zone is UTC."""
        return str(self.conf.timezone).upper() in ("UTC", "ETC/UTC")

    def select_queues(self, queues: Iterable[str] | None = None) -> None:
        """Have workers of this app consume only these queues, unless their command line names others; None for all."""
        self.conf.worker_queues = None if queues is None else tuple(queues)

    # -- being the app

    def set_current(self) -> None:
        """Make this the app that ``current_app`` and shared tasks mean."""
        set_default_app(cast("Umbel", self))

    set_default = set_current

    @property
    def current_task(self) -> AnyTask | None:
        """The task that runs here, None outside of one."""
        request = current_request()
        return None if request is None else request.task

    current_worker_task = current_task

    @property
    def oid(self) -> str:
        """An id of this app in this process."""
        return self._oid

    @property
    def thread_oid(self) -> str:
        """An id of this app in this thread."""
        if not hasattr(self._threads, "oid"):
            self._threads.oid = str(uuid.uuid4())
        return str(self._threads.oid)

    def finalize(self, auto: bool = False) -> None:
        """Read the settings and send ``on_after_configure`` and ``on_after_finalize``, once.

        Workers, beat, and the first use of the broker do so by themselves.

        Args:
            auto: kept for Celery's users.
        """
        with self._lock:
            begun, self._finalized = self._finalized, True  # first: a receiver may send tasks
        if not begun:
            self.on_configure.send(self)
            self.on_after_configure.send(self, source=self.conf)
            self.on_after_finalize.send(self)

    # -- tasks

    @property
    def Task(self) -> type[AnyTask]:  # noqa: N802 - Celery's name
        """The class of this app's tasks: what ``task_cls`` said, else `umbel.Task`."""
        from umbel.imports import import_object
        from umbel.task import Task

        if isinstance(self._task_cls, str):
            self._task_cls = import_object(self._task_cls, purpose="task_cls")
        found = self._task_cls or Task
        if not (isinstance(found, type) and issubclass(found, Task)):
            raise ImproperlyConfigured(f"task_cls is {found!r}: give a subclass of umbel.Task, or its dotted name")
        return found

    def create_task_cls(self) -> type[AnyTask]:
        """Return `Task`."""
        return self.Task

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name that a function gets as a task. Override it for names of another form.

        Args:
            name: of the function.
            module: where it is.
        """
        from umbel.declaring import module_name

        return f"{module_name(module, self.main)}.{name}"

    # -- the command line

    def start(self, argv: Sequence[str] | None = None) -> None:
        """Run the command line with this app: ``app.start(["status"])``, or what this process was called with.

        Raises:
            SystemExit: with the command's exit code.
        """
        self._command(argv)

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run a worker of this app: ``app.worker_main(["worker", "--concurrency", "4"])``.

        The app has to stand in a module that can be imported, since the worker's own processes import it.

        Raises:
            ValueError: ``worker`` is not among the arguments.
            SystemExit: when the worker has ended.
        """
        import sys

        argv = list(sys.argv[1:] if argv is None else argv)
        if "worker" not in argv:
            raise ValueError(f"worker_main() needs the command 'worker' among its arguments, not {argv!r}")
        self._command(argv)

    def _command(self, argv: Sequence[str] | None) -> None:
        # The command line stands floors above the app: found by name, not imported.
        importlib.import_module("umbel.cli.running").run(self, argv)

    def bugreport(self) -> str:
        """Return what a bug report should say: versions, the broker, settings, tasks; no passwords."""
        report: Callable[[Any], str] = importlib.import_module("umbel.control.report").of_app
        return report(self)
