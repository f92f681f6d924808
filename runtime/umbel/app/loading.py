"""What an app imports and prepares before its tasks run somewhere, and the queues that its workers consume."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from umbel import annotating, contents, signals
from umbel.app.names import AppNames
from umbel.errors import ImproperlyConfigured
from umbel.imports import ModuleMissing, import_module
from umbel.routing import queues_in
from umbel.shards import shard_names

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.registry import TaskRegistry


class AppLoading(AppNames):
    """See the module. Mixed into `umbel.Umbel`."""

    tasks: TaskRegistry
    _autofinalize: bool
    _discover: list[tuple[Callable[[], Iterable[str]], str]]

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
        annotating.apply(cast("Umbel", self))
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
        self.on_after_fork.send(self)

    def queue_names(self) -> set[str]:
        """Return the queues that settings and tasks name: the default one, those of tasks, those of fixed routes."""
        annotating.apply(cast("Umbel", self))
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
