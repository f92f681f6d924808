"""Find an app or a module by its name, as ``-A`` and ``include`` give it, and say what is wrong with it."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from umbel.errors import ImproperlyConfigured

#: Folder of Umbel's own code, whose lines say nothing to its users.
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


class ModuleMissing(ImproperlyConfigured):
    """No module of this name is on the path."""


class ModuleBroken(ImproperlyConfigured):
    """The module is there, and importing it failed. ``__cause__`` is what it raised."""


def import_module(name: str, *, purpose: str = "") -> ModuleType:
    """Import a module by its dotted name.

    Args:
        name: for example ``shop.tasks``.
        purpose: where the name was given, for the message (``-A``, ``include``).

    Raises:
        ModuleMissing: there is no such module; the message names the folders that were searched first.
        ModuleBroken: an error inside of it, which the message locates.
    """
    where = f" (named by {purpose})" if purpose else ""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if _is_itself(name, error.name):
            raise ModuleMissing(_missing(name, error.name, where)) from error
        raise ModuleBroken(_broken(name, error, where)) from error
    except Exception as error:
        raise ModuleBroken(_broken(name, error, where)) from error


def _is_itself(wanted: str, missing: str | None) -> bool:
    """Tell whether the missing module is the wanted one or a package above it, not something that it imports."""
    return missing is not None and (wanted == missing or wanted.startswith(missing + "."))


def _missing(name: str, missing: str | None, where: str) -> str:
    part = f"; the part {missing!r} is not there" if missing and missing != name else ""
    hint = ""
    if name.endswith(".py") or os.sep in name:
        dotted = name.removesuffix(".py").strip("./").replace(os.sep, ".")
        hint = f" Give the dotted name of the module ({dotted!r}), not a file."
    return (
        f"there is no module {name!r}{where}{part}.{hint} Looked in the current folder {os.getcwd()} and on the Python "
        "path; run from the folder that holds it, name the folder with --workdir or PYTHONPATH, or install the package."
    )


def _broken(name: str, error: BaseException, where: str) -> str:
    """Describe an error inside a module with the line of the user's code that raised it."""
    place = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(("<frozen", _OURS)):
            place = f" at {frame.filename}, line {frame.lineno}"
            if frame.line:
                place += f" ({frame.line.strip()})"
            break
    remedy = "Fix it there"
    if isinstance(error, ModuleNotFoundError) and error.name:
        remedy = f"Install what provides {error.name!r} into this environment, or fix the import"
    text = str(error).strip()
    return (
        f"the module {name!r}{where} was found, but importing it failed: {type(error).__name__}"
        f"{': ' + text if text else ''}{place}. {remedy}."
    )


@contextmanager
def search_path(folder: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Look for modules in a folder (the current one by default) first, for the duration of the block."""
    path = str(Path(folder).resolve()) if folder is not None else os.getcwd()
    if path in sys.path:
        yield
        return
    sys.path.insert(0, path)
    try:
        yield
    finally:
        if path in sys.path:
            sys.path.remove(path)


def import_object(name: str, *, purpose: str = "") -> Any:
    """Import ``module:attribute``, or ``module.attribute``, or a module.

    Raises:
        ModuleMissing, ModuleBroken: see `import_module`.
        ImproperlyConfigured: the module has no such attribute.
    """
    module_name, colon, attribute = name.partition(":")
    if colon:
        return _attribute(import_module(module_name, purpose=purpose), attribute, purpose)
    try:
        return import_module(name, purpose=purpose)
    except ModuleMissing:
        parent, dot, last = name.rpartition(".")
        try:
            module = import_module(parent, purpose=purpose) if dot else None
        except ModuleMissing:
            module = None
        if module is None or not hasattr(module, last):
            raise
        return getattr(module, last)


def _attribute(module: ModuleType, path: str, purpose: str) -> Any:
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = ", ".join(sorted(key for key in vars(module) if not key.startswith("_"))[:12]) or "nothing"
            raise ImproperlyConfigured(
                f"the module {module.__name__!r} has no {path!r}{f' (named by {purpose})' if purpose else ''}; "
                f"it defines: {public}. Write it as module:attribute."
            ) from None
    return found


def is_app(obj: object) -> bool:
    """Tell whether something is an app. By name, since the app stands floors above this module."""
    return any(cls.__name__ == "Umbel" and cls.__module__ == "umbel.app" for cls in type(obj).__mro__)


def find_app(name: str) -> Any:
    """Find an app as ``-A`` names it: ``module``, ``module:attribute``, ``package``.

    The current folder is put onto the Python path for good, so that what the app imports later is found too. Without an
    attribute, the module's ``app`` or ``umbel`` is taken, else the only app in it, else what its submodule ``umbel``
    (``<package>/umbel.py``), ``app`` or ``celery`` holds.

    Raises:
        ImproperlyConfigured: nothing suitable is there.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = import_object(name, purpose="-A")
    if is_app(found):
        return found
    if not isinstance(found, ModuleType):
        raise ImproperlyConfigured(
            f"-A {name}: this is {type(found).__name__!r}, not an app; name the Umbel(...) object."
        )
    app = _app_in(found)
    if app is None and hasattr(found, "__path__"):
        app = _app_in_submodule(found)
    if app is None:
        raise ImproperlyConfigured(
            f"-A {name}: the module {found.__name__!r} holds no app. Write app = Umbel({found.__name__!r}, broker=...) in "
            "it, or name where it is: -A module:attribute."
        )
    return app


def _app_in(module: ModuleType) -> Any:
    for attribute in ("app", "umbel", "celery"):
        candidate = getattr(module, attribute, None)
        if is_app(candidate):
            return candidate
    apps = {id(value): value for value in vars(module).values() if is_app(value)}
    if len(apps) > 1:
        names = sorted(key for key, value in vars(module).items() if is_app(value))
        raise ImproperlyConfigured(
            f"the module {module.__name__!r} holds several apps ({', '.join(names)}); "
            f"name one: -A {module.__name__}:{names[0]}"
        )
    return next(iter(apps.values()), None)


def _app_in_submodule(package: ModuleType) -> Any:
    for last in ("umbel", "app", "celery"):
        try:
            module = import_module(f"{package.__name__}.{last}", purpose="-A")
        except ModuleMissing:
            continue
        app = _app_in(module)
        if app is not None:
            return app
    return None
