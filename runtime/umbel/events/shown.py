"""Values as text for events: never long, whatever they are."""

from __future__ import annotations

import reprlib
from typing import Any, Final

#: Characters of a value at the most.
MOST: Final = 1024

_PLAIN: Final = (int, float, bool, type(None))

_short: Final = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = MOST
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdeque = _short.maxarray = 100
_short.maxdict = 100


def shown(value: Any, most: int = MOST) -> str:
    """Return the repr of a value, cut short: large containers are not gone through to their end."""
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    try:
        text = repr(value) if _is_small(value) else _short.repr(value)
    except Exception as error:
        return f"<{kind.__name__}: its repr raised {type(error).__name__}>"
    return text if len(text) <= most else f"{text[: most - 1]}…"


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
