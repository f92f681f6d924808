"""What tells the calls of a task apart: for limits by key, and for unique tasks."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from umbel import serialization
from umbel.digests import blake2b

#: Longest key that is kept as it is, in bytes; of a longer one a digest is kept.
LONGEST: Final = 120
Key = str | Callable[..., Any] | None


class CallKey:
    """The key of a call, made of its arguments.

    Args:
        task: its name.
        function: what the task calls, without ``self``.
        key: the name of a parameter, or a function that takes the call's arguments; None = of all arguments.
        option: the name of the task's option that says so, for errors.

    Raises:
        ValueError: the function has no parameter of that name.
    """

    def __init__(self, task: str, function: Callable[..., Any], key: Key, option: str) -> None:
        self._task = task
        self._key = key
        self._option = option
        signature = inspect.signature(function)
        self._signature = signature.replace(
            parameters=[parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()],
            return_annotation=signature.empty,
        )
        if isinstance(key, str):
            self._check(key)

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """Return the key as text; None if the function of the key returned None.

        Raises:
            TypeError: the call has no argument of that name, or the key cannot be written as text.
        """
        if callable(self._key):
            value = self._key(*args, **kwargs)
            return None if value is None else _text(value)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:  # the task checks its arguments by itself, or not at all
            return _digest(_canonical([list(args), dict(kwargs)]))
        bound.apply_defaults()
        if self._key is None:
            return _digest(_canonical(list(bound.arguments.items())))
        if self._key in bound.arguments:
            return _text(bound.arguments[self._key])
        for extra in bound.arguments.values():  # of **kwargs
            if isinstance(extra, dict) and self._key in extra:
                return _text(extra[self._key])
        raise TypeError(f"{self._task} has {self._option}={self._key!r}, and this call has no argument of that name")

    def _check(self, name: str) -> None:
        parameters = self._signature.parameters
        if name in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
        near = difflib.get_close_matches(name, list(parameters), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(parameters) or 'none'}"
        raise ValueError(f"the task {self._task} has {self._option}={name!r}, which is no parameter of it: {hint}")


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else _canonical(value).decode()
    raw = text.encode()
    return text if len(raw) <= LONGEST and b"\0" not in raw else _digest(raw)


def _canonical(value: Any) -> bytes:
    """Return a value as JSON in which the order of a dict's keys does not show."""
    raw = serialization.json.encode(value)
    return orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()
