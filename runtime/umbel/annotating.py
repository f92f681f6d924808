"""``task_annotations``: options and handlers of tasks, given from outside of their code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from umbel.errors import ImproperlyConfigured
from umbel.imports import import_object

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


class MapAnnotation(dict[str, Any]):
    """Annotations by the names of tasks; those of ``"*"`` are for all."""

    def annotate_any(self) -> dict[str, Any] | None:
        """Return what all tasks get."""
        return self.get("*")

    def annotate(self, task: Task[..., Any]) -> dict[str, Any] | None:
        """Return what this task gets."""
        return self.get(task.name)


def apply(app: Umbel) -> None:
    """Annotate all tasks of an app that are not yet."""
    if app.conf.task_annotations is not None:
        for task in app.tasks.values():
            apply_to(task, app)


def apply_to(task: Task[..., Any], app: Umbel) -> None:
    """Give a task what ``task_annotations`` says; once, until the setting changes.

    What names the task wins over what is for all. A key with ``@`` in front names a method, and its value is called with the
    method and returns the one to use in its place.

    Raises:
        ImproperlyConfigured: an annotation that is none, or of something that tasks have not.
    """
    annotations = app.conf.task_annotations
    if annotations is None or task.annotated is annotations:
        return
    task.annotated = annotations
    found: dict[str, Any] = {}
    for source in _sources(annotations):
        found = {**(_of_all(source) or {}), **found}
    for source in _sources(annotations):
        own = source.annotate(task)
        if own:
            found |= own
            break
    if found:
        task.tailor(found)


def _of_all(source: Any) -> Mapping[str, Any] | None:
    return source.annotate_any() if hasattr(source, "annotate_any") else None


def _sources(annotations: Any) -> Iterator[Any]:
    for item in annotations if isinstance(annotations, (list, tuple)) else (annotations,):
        given = item
        if isinstance(item, str):
            given = import_object(item, purpose="task_annotations")
            given = given() if isinstance(given, type) else given
        if isinstance(given, Mapping) and not hasattr(given, "annotate"):
            given = MapAnnotation(given)
        if not hasattr(given, "annotate"):
            raise ImproperlyConfigured(
                f"task_annotations holds {item!r}; give {{name of a task or '*': {{option: value}}}}, or an object with "
                "annotate(task)"
            )
        yield given
