"""What signatures hold, as data: copied, and as plain dicts and lists."""

from __future__ import annotations

from typing import Any

from umbel import canvas


def copied(value: Any) -> Any:
    """Return options such that their lists and signatures are copies too."""
    if isinstance(value, canvas.Signature):
        return value.clone()
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def plain(value: Any) -> Any:
    """Return what a signature holds with dicts and lists in the place of signatures and of what is lazy."""
    if isinstance(value, canvas.Signature):
        return value.plain()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    lazy = getattr(type(value), "__json__", None)
    if lazy is not None:
        return plain(lazy(value))
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def as_list(value: Any) -> list[Any]:
    """Return a link option as a list: none, one or several signatures."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
