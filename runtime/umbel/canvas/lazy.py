"""The members of a group that is made of a generator: read only as far as somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

Change = Callable[[Any], Any]


class Lazy(Sequence[Any]):
    """A list that is filled from an iterator as it is read.

    Args:
        source: of the items.
        make: makes an item of what the source yields.
    """

    __slots__ = ("_changes", "_source", "_there")

    def __init__(self, source: Iterable[Any], make: Change) -> None:
        self._source: Iterator[Any] = iter(source)
        self._there: list[Any] = []
        self._changes: list[Change] = [make]

    def change(self, change: Change) -> None:
        """Put what ``change`` returns in the place of each item, there or still to come."""
        self._there[:] = map(change, self._there)
        self._changes.append(change)

    def _pull(self) -> bool:
        for item in self._source:
            for change in self._changes:
                item = change(item)
            self._there.append(item)
            return True
        return False

    def _fill(self) -> list[Any]:
        while self._pull():
            pass
        return self._there

    def __iter__(self) -> Iterator[Any]:
        index = 0
        while index < len(self._there) or self._pull():
            yield self._there[index]
            index += 1

    def __len__(self) -> int:
        return len(self._fill())

    def __bool__(self) -> bool:
        return bool(self._there) or self._pull()

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and index >= 0:
            while len(self._there) <= index and self._pull():
                pass
            return self._there[index]
        return self._fill()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, tuple, Lazy)):
            return self._fill() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __json__(self) -> list[Any]:
        return self._fill()

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self._fill()),)

    def __repr__(self) -> str:
        return repr(self._fill())
