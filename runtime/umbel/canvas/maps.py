"""One task over many arguments: in one message (``xmap``, ``xstarmap``), or a few at a time (``chunks``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from umbel.canvas.gathered import listed
from umbel.canvas.groups import group
from umbel.canvas.lazy import Lazy
from umbel.canvas.signature import KINDS, Signature, as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.composing import Composable

R = TypeVar("R", covariant=True)

#: Characters of the items that are shown.
_SHOWN: Final = 100


class _Mapped(Signature[list[R]]):
    """A task, and the items that it is called with."""

    def _fill(self, name: str, task: Any, it: Iterable[Any], app: Umbel | None, options: Any, **more: Any) -> None:
        called = task.s() if hasattr(task, "s") else as_signature(task, app)
        parts = {"task": called, "it": _items(it), **more}
        Signature.__init__(self, name, (), parts, options, subtask_type=self.kind, immutable=True, app=app)

    @classmethod
    def _adopt(cls, kwargs: dict[str, Any], app: Umbel | None) -> None:
        kwargs["task"] = as_signature(kwargs["task"], app)

    @property
    def app(self) -> Umbel:
        """The app of the task, unless it was given one."""
        return self._app if self._app is not None else cast("Umbel", self.kwargs["task"].app)

    def _copied_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "task": kwargs["task"].clone()}

    def items(self) -> Any:
        """Return the fields; what a generator holds is read, so that ``json.dumps`` sees a list."""
        self.kwargs["it"] = listed(self.kwargs["it"])
        return super().items()


class xmap(_Mapped[R]):  # noqa: N801 - Celery's name
    """Call a task with one item after the other, all in one message; the result is the list of what it returns."""

    kind: ClassVar[str | None] = "xmap"

    def __init__(
        self, task: Signature[R] | Composable[..., R], it: Iterable[Any], *, app: Umbel | None = None, **options: Any
    ) -> None:
        self._fill("umbel.map", task, it, app, options)

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(x) for x in {_cut(self.kwargs['it'])}]"


class xstarmap(_Mapped[R]):  # noqa: N801 - Celery's name
    """As `xmap`; each item is a list of arguments."""

    kind: ClassVar[str | None] = "xstarmap"

    def __init__(
        self, task: Signature[R] | Composable[..., R], it: Iterable[Any], *, app: Umbel | None = None, **options: Any
    ) -> None:
        self._fill("umbel.starmap", task, it, app, options)

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(*x) for x in {_cut(self.kwargs['it'])}]"


class chunks(_Mapped[list[R]]):  # noqa: N801 - Celery's name
    """Call a task with many lists of arguments, ``n`` of them in each message.

    Args:
        task: the task.
        it: the lists of arguments.
        n: how many of them go into one message.

    Raises:
        ValueError: ``n`` is below 1.
    """

    kind: ClassVar[str | None] = "chunks"

    def __init__(
        self,
        task: Signature[R] | Composable[..., R],
        it: Iterable[Any],
        n: int,
        *,
        app: Umbel | None = None,
        **options: Any,
    ) -> None:
        if n < 1:
            raise ValueError(f"chunks of n={n} arguments cannot be made: give 1 or more")
        self._fill("umbel.chunks", task, it, app, options, n=n)

    def group(self) -> group[list[R]]:
        """Return the messages as a group of `xstarmap`."""
        task, it, n = (self.kwargs[name] for name in ("task", "it", "n"))
        parts: Iterator[xstarmap[R]] = (xstarmap(task.clone(), part, app=self._app) for part in _parts(it, n))
        return group(parts, app=self._app)

    def __call__(self, **options: Any) -> Any:
        """Send them."""
        return self.apply_async(**options)

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Umbel | None = None) -> Any:
        """Send them."""
        return cls(task, it, n, app=app)()


for _kind in (xmap, xstarmap, chunks):
    KINDS[_kind.kind or ""] = _kind


def _items(it: Iterable[Any]) -> Any:
    return it if isinstance(it, (list, Lazy)) else list(it) if isinstance(it, (tuple, range)) else Lazy(it, _same)


def _same(item: Any) -> Any:
    return item


def _parts(it: Iterable[Any], n: int) -> Iterator[list[Any]]:
    items = iter(it)
    while part := list(islice(items, n)):
        yield part


def _cut(it: Any) -> str:
    text = repr(it)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
