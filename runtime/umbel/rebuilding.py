"""From the value of a record back to the exception that it tells of."""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import Any, Final

from umbel import serialization
from umbel.errors import DecodeError, RemoteError

#: Longest name of a type that is made up here.
LONGEST_NAME: Final = 200


def decode(raw: bytes, codec: serialization.Codec = serialization.json) -> BaseException:
    """Return the exception that a record holds, with its causes.

    It is of its own type where that can be imported here, else of a subclass of `RemoteError` that has the name of the type.
    """
    try:
        return _rebuild(codec.decode(raw))
    except (DecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return RemoteError("an exception", f"its record cannot be read: {error}")


def _rebuild(form: dict[str, Any]) -> BaseException:
    name, message, args = str(form["type"]), str(form["message"]), tuple(form.get("args") or ())
    cls = _find(name)
    if cls is None:
        rebuilt: BaseException = stand_in(name)(name, message)
    elif issubclass(cls, ExceptionGroup):
        rebuilt = _group(cls, message, args, form)
    else:
        rebuilt = _instance(cls, message, args)
    for attribute, value in (form.get("attributes") or {}).items():
        try:
            setattr(rebuilt, attribute, value)
        except Exception:
            continue  # it is computed, here
    for note in form.get("notes") or ():
        rebuilt.add_note(str(note))
    if form.get("cause"):
        rebuilt.__cause__ = _rebuild(form["cause"])
    elif form.get("context"):
        rebuilt.__context__ = _rebuild(form["context"])
    return rebuilt


def _instance(cls: type[Exception], message: str, args: tuple[Any, ...]) -> Exception:
    """Return an exception of this class: made of its arguments, unless it takes others, or makes another text of them."""
    try:
        rebuilt = cls(*args)
        if str(rebuilt) == message:
            return rebuilt
    except Exception:
        rebuilt = None
    try:
        bare = cls.__new__(cls)
        bare.args = args or (message,)
        return bare if rebuilt is None or _says(bare, message) else rebuilt
    except Exception:
        return rebuilt if rebuilt is not None else RemoteError(f"{cls.__module__}.{cls.__qualname__}", message)


def _says(error: Exception, message: str) -> bool:
    try:
        return str(error) == message
    except Exception:
        return False


def _group(cls: type[Exception], message: str, args: tuple[Any, ...], form: dict[str, Any]) -> Exception:
    members = [_rebuild(member) for member in form.get("members") or ()]
    try:
        return cls(str(args[0]) if args else message, members)
    except Exception:
        return RemoteError(f"{cls.__module__}.{cls.__qualname__}", message)


@lru_cache(maxsize=256)
def stand_in(name: str) -> type[RemoteError]:
    """Return a subclass of `RemoteError` that stands for a type which cannot be imported here."""
    module, _, short = name[-LONGEST_NAME:].rpartition(".")
    made: type[RemoteError] = type(short.replace("\0", "") or "RemoteError", (RemoteError,), {"__module__": module})
    return made


def _find(name: str) -> type[Exception] | None:
    """Return the exception class of this dotted name. Nothing else is ever returned, whatever the record says."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = _module(".".join(parts[:length]))
        if module is None:
            continue
        found: Any = module
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found if isinstance(found, type) and issubclass(found, Exception) else None
    return None


def _module(name: str) -> Any:
    module = sys.modules.get(name)
    if module is not None or name == "__main__":
        return module
    try:
        return importlib.import_module(name)
    except Exception:
        return None
