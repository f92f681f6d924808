"""Commands of an app's own: ``@inspect_command`` and ``@control_command``.

They run user code, so not in the supervisor, and not in a child, which may be busy: each call gets a process of its own,
forked from the one that imported the app, see `umbel.worker.aside`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from umbel.control.vanished import PODS_GONE
from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app import Umbel

F = TypeVar("F", bound=Callable[..., Any])

#: What workers answer by themselves.
INSPECT: Final = (
    "ping",
    "active",
    "reserved",
    "scheduled",
    "revoked",
    "registered",
    "query_task",
    "stats",
    "active_queues",
    "conf",
    "report",
)
CONTROL: Final = (
    "revoke",
    "terminate",
    "rate_limit",
    "time_limit",
    "add_consumer",
    "cancel_consumer",
    "pool_grow",
    "pool_shrink",
    "enable_events",
    "disable_events",
    "shutdown",
    PODS_GONE,
)


@dataclass(frozen=True)
class State:
    """What a command knows of the worker that it runs for. Its process is not the worker's: changes here stay here.

    Args:
        app: the worker's app.
        hostname: the worker's name.
        worker: id of its supervisor.
        queues: that it consumes.
        pids: of its children.
    """

    app: Umbel
    hostname: str
    worker: str
    queues: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command of an app's own, see `control_command`."""

    name: str
    function: Callable[..., Any]
    kind: str
    args: tuple[tuple[str, Callable[[str], Any]], ...] = ()
    signature: str | None = None
    alias: str | None = None
    help: str = ""
    visible: bool = True
    default_timeout: float | None = None
    variadic: str | None = None

    def arguments(self, given: Sequence[str]) -> dict[str, Any]:
        """Return the arguments that a command line gives.

        Raises:
            ValueError: there are too many, or one does not fit.
        """
        found: dict[str, Any] = {}
        for (name, convert), text in zip(self.args, given, strict=False):
            try:
                found[name] = convert(text)
            except (TypeError, ValueError):
                expected = getattr(convert, "__name__", repr(convert))
                raise ValueError(f"{name} takes {expected}, not {text!r}") from None
        rest = list(given[len(self.args) :])
        if self.variadic is not None:
            found[self.variadic] = rest
        elif rest:
            takes = f"{len(self.args)} argument{'' if len(self.args) == 1 else 's'}" if self.args else "no arguments"
            raise ValueError(f"{self.name} takes {takes}, not {len(given)}")
        return found


_commands: dict[str, Command] = {}


@overload
def control_command(function: F, /) -> F: ...
@overload
def control_command(
    *,
    args: Sequence[tuple[str, Callable[[str], Any]]] = ...,
    signature: str | None = ...,
    name: str | None = ...,
    alias: str | None = ...,
    help: str | None = ...,
    visible: bool = ...,
    default_timeout: float | None = ...,
    variadic: str | None = ...,
) -> Callable[[F], F]: ...
def control_command(*function: Any, **options: Any) -> Any:
    """Make a function a command of ``umbel control`` and ``app.control.broadcast``.

    Args:
        function: gets a `State`, then its arguments by name; returns what JSON can carry, by custom ``{"ok": text}``.
        args: names and types of its arguments on the command line.
        signature: how the help shows them.
        name: the function's unless given.
        alias: another name.
        help: a line; the first of the docstring unless given.
        visible: whether lists show it.
        default_timeout: seconds that it may take, and that the command line waits.
        variadic: name of the argument that takes the rest of the command line, as a list.

    Raises:
        ImproperlyConfigured: the name is taken.
    """
    return _register("control", *function, **options)


@overload
def inspect_command(function: F, /) -> F: ...
@overload
def inspect_command(
    *,
    args: Sequence[tuple[str, Callable[[str], Any]]] = ...,
    signature: str | None = ...,
    name: str | None = ...,
    alias: str | None = ...,
    help: str | None = ...,
    visible: bool = ...,
    default_timeout: float | None = ...,
    variadic: str | None = ...,
) -> Callable[[F], F]: ...
def inspect_command(*function: Any, **options: Any) -> Any:
    """Make a function a question of ``umbel inspect`` and ``app.control.inspect().ask``; see `control_command`."""
    return _register("inspect", *function, **options)


def _register(kind: str, *function: Any, **options: Any) -> Any:
    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        named = _made(kind, function, **options)
        for name in (named.name, named.alias):
            if name is None:
                continue
            other = _commands.get(name)
            if name in INSPECT or name in CONTROL:
                raise ImproperlyConfigured(f"workers have a command {name!r} already: give this one another name")
            if other is not None and _origin(other.function) != _origin(function):
                raise ImproperlyConfigured(
                    f"the command {name!r} is {_origin(other.function)} already: give {_origin(function)} another name"
                )
            _commands[name] = named
        return function

    return make(*function) if function else make


def _made(
    kind: str,
    function: Callable[..., Any],
    *,
    args: Sequence[tuple[str, Callable[[str], Any]]] = (),
    name: str | None = None,
    help: str | None = None,
    **options: Any,
) -> Command:
    first = next(iter((function.__doc__ or "").strip().splitlines()), "")
    return Command(name or function.__name__, function, kind, tuple(args), help=help or first, **options)


def _origin(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def find(name: str) -> Command | None:
    """Return the command of this name or alias, None if there is none."""
    return _commands.get(name)


def commands(kind: str | None = None) -> list[Command]:
    """Return the commands that were declared in this process, by name; of one kind if given."""
    found = {command.name: command for command in _commands.values() if kind is None or command.kind == kind}
    return [found[name] for name in sorted(found)]
