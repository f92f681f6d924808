"""Exceptions as values of a record, and back."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any, Final

from umbel import serialization
from umbel.errors import DecodeError, RemoteError

#: Longest traceback that is stored, in characters; the middle of a longer one is left out.
MAX_TRACEBACK: Final = 32_768


def encode(error: BaseException, codec: serialization.Codec = serialization.json) -> bytes:
    """Return an exception as the value of a record: its type, message and arguments.

    Arguments that the codec cannot carry are stored as their ``repr``.
    """
    cls = type(error)
    value = {"type": f"{cls.__module__}.{cls.__qualname__}", "message": _text(error), "args": _arguments(error)}
    try:
        return codec.encode(value)
    except Exception:
        value["message"] = text_of(error)
        value["args"] = [_carried(argument, codec) for argument in _arguments(error)]
        return codec.encode(value)


def _arguments(error: BaseException) -> list[Any]:
    """Return what the exception can be made of again; OSError keeps its file names elsewhere than in ``args``."""
    args = list(error.args)
    if isinstance(error, OSError) and error.filename is not None and len(args) == 2:
        args.append(_path(error.filename))
        if error.filename2 is not None:
            args += [None, _path(error.filename2)]
    return args


def _path(name: Any) -> Any:
    return os.fspath(name) if isinstance(name, os.PathLike) else name


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its text cannot be shown: {broken!r}>"


def text_of(error: BaseException) -> str:
    """Return an exception's text such that any codec can carry it."""
    return _text(error).encode("utf-8", "backslashreplace").decode()


def _carried(argument: Any, codec: serialization.Codec) -> Any:
    try:
        codec.encode(argument)
    except Exception:
        try:
            shown = repr(argument)
        except Exception:
            shown = f"<{type(argument).__name__}>"
        return shown.encode("utf-8", "backslashreplace").decode()
    return argument


def traceback_of(error: BaseException, *, skip: str = "") -> str:
    """Return the traceback as text, without the frames of the file ``skip`` that lie outermost."""
    trace = error.__traceback__
    while trace is not None and skip and trace.tb_frame.f_code.co_filename == skip:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def decode(raw: bytes, codec: serialization.Codec = serialization.json) -> BaseException:
    """Return the exception that a record holds: of its own type where that can be imported here, else `RemoteError`."""
    try:
        value = codec.decode(raw)
        name, message, args = str(value["type"]), str(value["message"]), tuple(value.get("args") or ())
    except (DecodeError, KeyError, TypeError, AttributeError) as error:
        return RemoteError("an exception", f"its record cannot be read: {error}")
    cls = _find(name)
    if cls is None:
        return RemoteError(name, message)
    try:
        rebuilt = cls(*args)
    except Exception:
        rebuilt = cls.__new__(cls)
        rebuilt.args = args or (message,)
    return rebuilt


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
