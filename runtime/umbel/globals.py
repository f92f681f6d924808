"""``current_app`` and ``current_task``: stand-ins for whatever is current where they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from umbel import context

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


class _StandIn:
    """Passes everything on to what ``find`` returns at that moment."""

    __slots__ = ("_find", "_name")

    def __init__(self, name: str, find: Callable[[], Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_find", find)

    def _get_current_object(self) -> Any:
        return object.__getattribute__(self, "_find")()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __bool__(self) -> bool:
        return bool(self._get_current_object())

    def __eq__(self, other: object) -> bool:
        return bool(self._get_current_object() == other)

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __repr__(self) -> str:
        return f"<{object.__getattribute__(self, '_name')}: {self._get_current_object()!r}>"


current_app = cast("Umbel", _StandIn("current_app", context.current_app))
current_task = cast("Task[..., Any]", _StandIn("current_task", context.current_task))
