"""Check a call's arguments against the task's signature, where the call is made; and name the argument that is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from umbel.errors import EncodeError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """The parameters of one task's function.

    Args:
        function: what is called.
        skip_first: leave the first parameter out; it gets the task itself.
    """

    __slots__ = ("_least", "_most", "_names", "_signature")

    def __init__(self, function: Callable[..., Any], *, skip_first: bool) -> None:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if skip_first:
            if not parameters:
                raise TypeError(
                    f"{function.__qualname__}() is declared with bind=True and takes no parameter: "
                    "write self as the first one, or leave bind out"
                )
            if parameters[0].kind in _POSITIONAL:
                parameters = parameters[1:]
        bare = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
        self._signature = signature.replace(parameters=bare, return_annotation=signature.empty)
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self._names = [p.name for p in positional]
        self._least = sum(p.default is p.empty for p in positional)
        self._most = len(positional)
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            self._most = 2**31
        if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
            self._most = -1

    def check(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse a call that could not succeed.

        Raises:
            TypeError: as a call of the function would, with its signature.
        """
        if not kwargs and self._least <= len(args) <= self._most:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{task}{self._signature} cannot be called like this: {error}") from None

    def name_of(self, path: Sequence[object]) -> str:
        """Return how the argument is called that a path into ``[args, kwargs]`` leads to."""
        if len(path) < 2:
            return "an argument"
        where, key = path[0], path[1]
        if where == 0 and isinstance(key, int):
            name = f"argument {key + 1}" + (f" ({self._names[key]!r})" if key < len(self._names) else "")
        else:
            name = f"argument {key!r}"
        inner = "".join(f"[{part!r}]" for part in path[2:])
        return f"{name}, at {inner}," if inner else name


def name_argument(error: EncodeError, task: str, arguments: Arguments | None) -> EncodeError:
    """Return the error of a codec with the argument's name in place of a path."""
    name = arguments.name_of(error.path) if arguments is not None else _position(error.path)
    return EncodeError(f"{task}: {name} {error.reason}", error.path, error.reason)


def _position(path: Sequence[object]) -> str:
    return f"argument {path[1]!r}" if len(path) > 1 else "an argument"
