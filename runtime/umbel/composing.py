"""What turns a task into signatures; the part of `umbel.Task` that workflows are made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, TypeVar, cast, overload

if TYPE_CHECKING:
    from umbel.canvas import Signature, chunks, xmap, xstarmap
    from umbel.result import AsyncResult

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Composable(Generic[P, R]):
    """A task as a part of workflows."""

    @overload
    def s(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
    @overload
    def s(self: Composable[Concatenate[A, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Signature[R]: ...
    @overload
    def s(self: Composable[Concatenate[A, B, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Signature[R]: ...
    @overload
    def s(self: Composable[Concatenate[A, B, C, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Signature[R]: ...
    def s(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Return a signature: this call as a value.

        Its first arguments may be missing: those of who calls it, or the result of a predecessor, come in front.
        """
        return self.signature(args, kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """Return an immutable signature: it takes no more arguments, also not a predecessor's result."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature[R]:
        """Return a signature with options.

        Args:
            args, kwargs: the arguments, or as many of them as are known yet.
            options: of the call, as for ``apply_async``; ``immutable=True`` takes no more arguments.
        """
        from umbel.canvas.signature import Signature

        return Signature(cast(Any, self), args, kwargs, **options)

    subtask = signature

    def map(self, it: Iterable[Any]) -> xmap[R]:
        """Return a signature that calls the task with one item after the other, all in one message."""
        from umbel.canvas import xmap

        return xmap(self.signature(), it)

    def starmap(self, it: Iterable[Sequence[Any]]) -> xstarmap[R]:
        """As `map`; each item is a list of arguments."""
        from umbel.canvas import xstarmap

        return xstarmap(self.signature(), it)

    def chunks(self, it: Iterable[Sequence[Any]], n: int) -> chunks[R]:
        """Return a signature that calls the task with many lists of arguments, ``n`` of them in each message."""
        from umbel.canvas import chunks

        return chunks(self.signature(), it, n)

    # -- inside of a run

    def replace(self, sig: Signature[Any]) -> NoReturn:
        """End this run, and have a signature run in its place: its end is the end of this task, under the same id.

        A group gives the list of its results. Write ``return self.replace(...)``: nothing behind it runs.

        Raises:
            Ignore: this is how the worker learns of it; do not catch it.
            ImproperlyConfigured: an empty chain, or the function was called directly.
        """
        from umbel import canvas

        raise canvas.replaced_by(cast(Any, self), sig)

    @overload
    def add_to_chord(self, sig: Signature[R], lazy: Literal[False] = False) -> AsyncResult[R]: ...
    @overload
    def add_to_chord(self, sig: Signature[R], lazy: Literal[True]) -> Signature[R]: ...
    def add_to_chord(self, sig: Signature[Any], lazy: bool = False) -> AsyncResult[Any] | Signature[Any]:
        """Add a signature to the header of the chord that this task is a member of; return its result.

        Args:
            sig: the signature; the body gets its result too.
            lazy: do not send it, but return it. The header waits for it: send it, here or in another process, by itself or in a
                group; the first time counts.

        Raises:
            ValueError: the task is no member of a header, or of one that waits for nothing any more.
        """
        from umbel import canvas

        return cast("AsyncResult[Any]", canvas.add_to_chord(cast(Any, self), sig, lazy))

    def on_replace(self, sig: Signature[Any]) -> None:
        """Override to do something before a signature runs in the place of this task."""
