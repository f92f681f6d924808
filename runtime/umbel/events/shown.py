"""Values as text, for events and for `Request.argsrepr`: never longer than asked for, and never an error."""

from __future__ import annotations

import reprlib
from functools import lru_cache
from typing import Any, Final

#: Characters of a value at the most, unless the task's ``resultrepr_maxsize`` says otherwise.
MOST: Final = 1024
_CUT: Final = "..."

_PLAIN: Final = (int, float, bool, type(None))


def shown(value: Any, most: int = MOST) -> str:
    """Return the repr of a value, cut short: large containers are not gone through to their end.

    Args:
        value: whatever it is; a repr that raises is told of.
        most: characters.
    """
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    try:
        text = repr(value) if _is_small(value) else _short(most).repr(value)
    except Exception as error:
        text = f"<{kind.__name__}: its repr raised {type(error).__name__}>"
    return text if len(text) <= most else text[: max(0, most - len(_CUT))] + _CUT


@lru_cache(maxsize=16)
def _short(most: int) -> reprlib.Repr:
    """Return what writes a value without much more than so many characters."""
    made = reprlib.Repr()
    made.maxstring = made.maxother = made.maxlong = most + len(_CUT)
    made.maxlist = made.maxtuple = made.maxset = made.maxfrozenset = made.maxdeque = made.maxarray = max(100, most // 3)
    made.maxdict = max(100, most // 6)
    return made


def _is_small(value: Any) -> bool:
    """Whether the repr of a value is sure to be short: a text, or a few plain values. Cheap, for what most tasks carry."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) <= MOST
    if kind is list or kind is tuple:
        return len(value) <= 8 and all(_is_plain(one) for one in value)
    if kind is dict:
        return len(value) <= 8 and all(_is_plain(one) for one in value.values())
    return False


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _PLAIN or (kind is str and len(value) <= 128)
