"""Exceptions as values of a record: their type, text and arguments, their attributes, and what caused them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection
from typing import Any, Final

from umbel import serialization

#: Longest traceback that is stored, in characters; the middle of a longer one is left out.
MAX_TRACEBACK: Final = 32_768
#: How many causes of an exception are stored, one behind the other, and how many members of a group.
MOST_CAUSES: Final = 8
MOST_MEMBERS: Final = 32
#: An attribute that takes more bytes than this is not stored.
LARGEST_ATTRIBUTE: Final = 4096


def encode(error: BaseException, codec: serialization.Codec = serialization.json) -> bytes:
    """Return an exception as the value of a record.

    It holds its type, message and arguments, attributes as far as the codec can carry them, its notes, its cause (or what was
    being handled when it was raised), and the members of a group. Arguments that the codec cannot carry are stored as their
    ``repr``.
    """
    return codec.encode(_form(error, codec, MOST_CAUSES, {id(error)}))


def _form(error: BaseException, codec: serialization.Codec, deeper: int, seen: set[int]) -> dict[str, Any]:
    cls = type(error)
    form: dict[str, Any] = {"type": f"{cls.__module__}.{cls.__qualname__}"}
    form["message"], form["args"] = _text(error), _arguments(error)
    try:
        codec.encode(form)
    except Exception:
        form["message"] = text_of(error)
        form["args"] = [_carried(argument, codec) for argument in form["args"]]
    attributes = _attributes(error, codec)
    if attributes:
        form["attributes"] = attributes
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    if notes:
        form["notes"] = [_plain(note) for note in notes]
    if isinstance(error, BaseExceptionGroup):
        form["members"] = [_form(one, codec, 0, seen | {id(one)}) for one in error.exceptions[:MOST_MEMBERS]]
    how, earlier = "cause", error.__cause__
    if earlier is None and not error.__suppress_context__:
        how, earlier = "context", error.__context__
    if earlier is not None and deeper and id(earlier) not in seen:
        form[how] = _form(earlier, codec, deeper - 1, seen | {id(earlier)})
    return form


def _arguments(error: BaseException) -> list[Any]:
    """Return what the exception can be made of again; OSError keeps its file names elsewhere than in ``args``."""
    if isinstance(error, BaseExceptionGroup):
        return [error.message]
    args = list(error.args)
    if isinstance(error, OSError) and error.filename is not None and len(args) == 2:
        args.append(_path(error.filename))
        if error.filename2 is not None:
            args += [None, _path(error.filename2)]
    return args


def _attributes(error: BaseException, codec: serialization.Codec) -> dict[str, Any]:
    """Return those attributes that the codec can carry, and that are small."""
    found = {}
    for name, value in list(getattr(error, "__dict__", {}).items()):
        if name.startswith("__"):
            continue
        try:
            if len(codec.encode({name: value})) <= LARGEST_ATTRIBUTE:
                found[name] = value
        except Exception:
            continue
    return found


def _path(name: Any) -> Any:
    return os.fspath(name) if isinstance(name, os.PathLike) else name


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its text cannot be shown: {broken!r}>"


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Return an exception's text such that any codec can carry it."""
    return _plain(_text(error))


def _carried(argument: Any, codec: serialization.Codec) -> Any:
    try:
        codec.encode(argument)
    except Exception:
        try:
            shown = repr(argument)
        except Exception:
            shown = f"<{type(argument).__name__}>"
        return _plain(shown)
    return argument


def traceback_of(error: BaseException, *, skip: Collection[str] = ()) -> str:
    """Return the traceback as text, without the frames of the files ``skip`` that lie outermost."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in skip:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return _plain(text)
