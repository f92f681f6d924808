"""Pydantic models as arguments and results of tasks declared with ``pydantic=True``. Imported only for these."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.task import Task


def wrap(task: Task[..., Any], run: Callable[..., Any], source: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes models of the arguments, runs the task, and makes plain values of the models that it returns.

    Args:
        task: whose ``pydantic_strict``, ``pydantic_context`` and ``pydantic_dump_kwargs`` apply.
        run: what is called.
        source: the function whose annotations count.

    Raises:
        ImproperlyConfigured: pydantic is not installed.
    """
    if importlib.util.find_spec("pydantic") is None:
        raise ImproperlyConfigured(
            f"the task {task.name} has pydantic=True, and pydantic is not installed: pip install 'umbel[pydantic]'"
        )
    models = _Models(task, run, source)
    if inspect.iscoroutinefunction(source):

        @functools.wraps(run)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = models.validated(args, kwargs)
            return models.plain(await run(*args, **kwargs))

        return run_async

    @functools.wraps(run)
    def run_it(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = models.validated(args, kwargs)
        return models.plain(run(*args, **kwargs))

    return run_it


def dumped(
    task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return arguments of a call with plain values in place of models, so that a codec can carry them."""
    how = task.pydantic_dump_kwargs
    return [_plain(item, how) for item in args], {name: _plain(item, how) for name, item in kwargs.items()}


class _Models:
    """What the annotations of one task say; read at its first call, when all that they name is there."""

    def __init__(self, task: Task[..., Any], run: Callable[..., Any], source: Callable[..., Any]) -> None:
        self._task = task
        self._source = source
        self._signature = inspect.signature(run)
        self._adapters: dict[str, Any] | None = None

    def validated(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments as their annotations want them.

        Raises:
            pydantic.ValidationError: one does not fit its model.
        """
        if self._adapters is None:
            self._adapters = self._read()
        if not self._adapters:
            return args, kwargs
        bound = self._signature.bind(*args, **kwargs)
        task = self._task
        context = {
            **(task.pydantic_context or {}),
            **dict.fromkeys(("umbel_app", "celery_app"), task.app),
            **dict.fromkeys(("umbel_task_name", "celery_task_name"), task.name),
        }
        for name, adapter in self._adapters.items():
            if name in bound.arguments:
                given = bound.arguments[name]
                bound.arguments[name] = adapter.validate_python(given, strict=task.pydantic_strict, context=context)
        return bound.args, bound.kwargs

    def plain(self, value: Any) -> Any:
        """Return a result without models."""
        return _plain(value, self._task.pydantic_dump_kwargs)

    def _read(self) -> dict[str, Any]:
        from pydantic import TypeAdapter

        hints = typing.get_type_hints(inspect.unwrap(self._source), include_extras=True)
        wanted = {name: hint for name, hint in hints.items() if name in self._signature.parameters}
        return {name: TypeAdapter(hint) for name, hint in wanted.items() if _names_model(hint)}


def _names_model(hint: Any) -> bool:
    """Tell whether an annotation is a model, or holds one: ``User``, ``User | None``, ``list[User]``."""
    from pydantic import BaseModel

    if isinstance(hint, type) and not typing.get_args(hint):
        return issubclass(hint, BaseModel)
    return any(_names_model(part) for part in typing.get_args(hint))


def _plain(value: Any, how: Mapping[str, Any] | None) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(**{"mode": "json", **(how or {})})
    if type(value) in (list, tuple):
        return [_plain(item, how) for item in value]
    if type(value) is dict:
        return {key: _plain(item, how) for key, item in value.items()}
    return value
