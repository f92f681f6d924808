"""What a bug report should say: versions, the broker, settings, tasks. Passwords are left out."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from umbel import __version__
from umbel.config import censor_url
from umbel.errors import ImproperlyConfigured, OperationalError

if TYPE_CHECKING:
    from umbel.app import Umbel

LIBRARIES: Final = ("redis", "hiredis", "orjson", "click", "rich", "tzdata")


def software() -> dict[str, Any]:
    """Return the versions of this process's software."""
    return {
        "umbel": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "executable": sys.executable,
        **{name: _version(name) for name in LIBRARIES},
    }


def broker_of(url: str | None, key_prefix: str, ping: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what the broker says of itself, or why it does not."""
    shown: dict[str, Any] = {"url": None if url is None else censor_url(url), "key_prefix": key_prefix}
    try:
        return {**shown, **ping()}
    except (OperationalError, ImproperlyConfigured) as error:
        return shown | {"error": str(error)}


def of_app(app: Umbel) -> str:
    """Return the report of an app as text."""
    app.import_modules()
    sections = {
        "software": software(),
        "broker": broker_of(app.conf.broker_url, app.conf.key_prefix, lambda: app.broker.ping()),
        "settings": app.conf.humanize().splitlines() or ["all at their defaults"],
        "tasks": sorted(app.tasks) or ["none"],
    }
    return as_text(sections)


def as_text(sections: Mapping[str, Any]) -> str:
    """Return sections as lines: a title each, and what belongs to it indented."""
    lines = []
    for title, content in sections.items():
        lines.append(title)
        lines += (
            [f"  {key}: {value}" for key, value in content.items()]
            if isinstance(content, Mapping)
            else [f"  {line}" for line in content]
        )
    return "\n".join(lines)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
