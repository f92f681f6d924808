"""Signatures that hold a list of others, which may be read out of a generator as they are sent: groups, and headers of chords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar, cast

from umbel.canvas.lazy import Lazy
from umbel.canvas.signature import Signature

R = TypeVar("R", covariant=True)


class Gathered(Signature[R]):
    """A signature that holds others in a list, under one of its keyword arguments."""

    #: The keyword argument.
    held: ClassVar[str]

    @property
    def tasks(self) -> Sequence[Signature[Any]]:
        """The members: a list, or what is read out of a generator as far as somebody looks."""
        return cast("Sequence[Signature[Any]]", self.kwargs[self.held])

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self.kwargs[self.held] = tasks
        self._adopt(self.kwargs, self._app)

    def _copied_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        tasks = kwargs[self.held]
        copies: Any
        if isinstance(tasks, Lazy):
            copies = Lazy(tasks, lambda task: task.clone())
        else:
            copies = [task.clone() for task in tasks]
        return {**kwargs, self.held: copies}

    def items(self) -> Any:
        """Return the fields; what a generator holds is read, so that ``json.dumps`` sees a list."""
        self.kwargs[self.held] = listed(self.kwargs[self.held])
        return super().items()

    def set_immutable(self, immutable: bool) -> None:
        """Set for each member whether it takes more arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)


def listed(items: Any) -> Any:
    """Return what is read from a generator as a list, anything else as it is."""
    return list(items) if isinstance(items, Lazy) else items
