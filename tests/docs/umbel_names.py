"""Whether a name that a document gives in code style exists in Umbel."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import click
from tests.workers import ROOT

from umbel import AsyncResult, Task, Umbel
from umbel.cli.main import umbel as command_line
from umbel.config import Settings
from umbel.context import Request
from umbel.control.commands import Control
from umbel.control.inspect import Inspect
from umbel.errors import ImproperlyConfigured
from umbel.options import CallOptions, TaskOptions
from umbel.settings import KNOWN
from umbel.transport import scheme_of

_CALL: Final = re.compile(r"^(?P<path>[^(]+)\((?P<parameters>\w+=(?:, \w+=)*)\)$")
_APP: Final = Umbel("documents", broker="memory://documents", set_as_current=False)
#: What stands for an object of which a document tells.
OBJECTS: Final[dict[str, Any]] = {
    "app.control.inspect()": Inspect,
    "app.control": Control,
    "app.conf": Settings,
    "app": _APP,
    "task": Task,
    "request": Request,
    "result": AsyncResult,
}


def missing(name: str, place: str) -> str | None:
    """Return what is wrong with a name, None if it exists; ``place`` is where bare names are looked for."""
    for begins, check in _KINDS:
        if re.match(begins, name):
            return check(name)
    if place == "conf":
        return None if name in KNOWN else f"there is no setting {name}"
    if place.startswith("umbel ") or (place == "umbel" and name.startswith("-")):
        return _command(f"{place} {name}")
    if place == "-":
        return f"{name} does not say where it is"
    return _object(f"{place}.{name}")


def _object(path: str) -> str | None:
    """Look for an attribute of an object or a module, and for parameters where it is written as a call."""
    call = _CALL.match(path)
    plain, parameters = (call["path"], call["parameters"]) if call else (path, "")
    try:
        found = _find(plain)
    except (AttributeError, ImportError, KeyError) as error:
        return f"{path}: {error!r}"
    return _parameters(found, re.findall(r"(\w+)=", parameters), path)


def _find(path: str) -> Any:
    if path in OBJECTS:
        return OBJECTS[path]
    before, _, last = path.rpartition(".")
    if path == "umbel":
        return importlib.import_module(path)
    if not before:
        raise KeyError(f"nobody knows where {path} is")
    owner = _find(before)
    if isinstance(owner, ModuleType):
        # A name of the package comes first: umbel.schedules.crontab is a module and a class.
        return getattr(owner, last) if hasattr(owner, last) else importlib.import_module(path)
    if isinstance(owner, type):
        if last in getattr(owner, "__annotations__", {}) or any(last in vars(cls) for cls in owner.__mro__):
            return inspect.getattr_static(owner, last, None)
        raise AttributeError(f"{owner.__qualname__} has no {last}")
    if owner is _APP and isinstance(inspect.getattr_static(type(owner), last, None), property):
        return inspect.getattr_static(type(owner), last)
    return getattr(owner, last)


def _parameters(found: Any, wanted: list[str], path: str) -> str | None:
    if not wanted:
        return None
    known = set(inspect.signature(found).parameters)
    if path.startswith(("task.apply", "app.send_task")):
        known |= set(CallOptions.__annotations__)
    lacking = [name for name in wanted if name not in known]
    return f"{path}: there is no parameter {', '.join(lacking)}" if lacking else None


def _task_option(name: str) -> str | None:
    lacking = set(re.findall(r"(\w+)=", name)) - set(TaskOptions.__annotations__) - {"bind"}
    return f"there is no task option {', '.join(lacking)}" if lacking else None


def _call_option(name: str) -> str | None:
    lacking = set(re.findall(r"(\w+)=", name)) - set(CallOptions.__annotations__) - {"args", "kwargs"}
    return f"there is no call option {', '.join(lacking)}" if lacking else None


def _command(name: str) -> str | None:
    """Look for a command and its options, written as ``umbel worker -c --concurrency``."""
    command: click.Command = command_line
    context = click.Context(command, info_name="umbel")
    options = []
    for word in name.split()[1:]:
        if word.startswith("-"):
            options.append(word)
            continue
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is None:
            return f"{name}: there is no command {word}"
        context = click.Context(below, parent=context, info_name=word)
        command = below
    known = {text for parameter in command.get_params(context) for text in (*parameter.opts, *parameter.secondary_opts)}
    lacking = [option for option in options if option not in known]
    return f"{name}: there is no option {', '.join(lacking)}" if lacking else None


def _variable(name: str) -> str | None:
    if name.removeprefix("UMBEL_").lower() in KNOWN:
        return None
    code = "".join(path.read_text("utf-8") for path in (ROOT / "runtime/umbel").rglob("*.py"))
    suffix = name.removeprefix("UMBEL_BROKER_")  # the last part alone stands in the code of connections
    found = name in code or (suffix != name and f'("{suffix}")' in code)
    return None if found else f"nothing reads the variable {name}"


def _scheme(name: str) -> str | None:
    try:
        scheme_of(f"{name}x", "broker_url")
    except ImproperlyConfigured as error:
        return str(error)
    return None


def _setting(name: str) -> str | None:
    return None if name.removeprefix("conf.") in KNOWN else f"there is no setting {name}"


_KINDS: Final[tuple[tuple[str, Callable[[str], str | None]], ...]] = (
    (r"umbel ", _command),
    (r"UMBEL_", _variable),
    (r"[a-z+]+://", _scheme),
    (r"@app\.task\(", _task_option),
    (r"apply_async\(", _call_option),
    (r"conf\.", _setting),
    (r"(umbel|app|task|result|request)\.", _object),
)
