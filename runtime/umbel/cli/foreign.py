"""Options of Celery's that Umbel's commands do not have: refused with what to do, or taken with a warning where nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_SUPERVISED: Final = "a supervisor (Kubernetes, systemd) does that: start it in the foreground"
_LOGS: Final = "logs go to standard error; UMBEL_LOG_FORMAT=json writes them as JSON"
_STATE: Final = "the state is in Redis"
_BEAT: Final = "beat is a process of its own, umbel beat; start as many as you like"
_NO_GOSSIP: Final = "workers do not talk to each other"
_PREFETCH: Final = "a worker fetches no more than hides the round trip; --prefetch bounds it"
_NO_EXCHANGES: Final = "there are no exchanges; name the queue with --queue"

#: Of daemons: option -> what to do in its place; those that end in = take a value.
DAEMON: Final[Mapping[str, str]] = {
    "-D/--detach": _SUPERVISED,
    "--pidfile=": _SUPERVISED,
    "--uid=": _SUPERVISED,
    "--gid=": _SUPERVISED,
    "--umask=": _SUPERVISED,
    "--executable=": _SUPERVISED,
    "-f/--logfile=": _LOGS,
}
WORKER_REFUSED: Final[Mapping[str, str]] = {
    **DAEMON,
    "-B/--beat": _BEAT,
    "-s/--schedule/--schedule-filename=": _BEAT,
    "--scheduler=": _BEAT,
    "-S/--statedb=": _STATE,
    "--autoscale=": "the number of processes is --concurrency; on a cluster the scaler of a WorkerPool changes the number of pods",
}
#: Of workers: taken with a warning.
WORKER_NEEDLESS: Final[Mapping[str, str]] = {
    "--without-gossip": _NO_GOSSIP,
    "--without-mingle": _NO_GOSSIP,
    "--without-heartbeat": _NO_GOSSIP,
    "--heartbeat-interval=": _NO_GOSSIP,
    "-O/--optimization=": _PREFETCH,
    "--prefetch-multiplier=": _PREFETCH,
    "--pool-start-method=": "children are forked by a process that does nothing else",
}
BEAT_REFUSED: Final[Mapping[str, str]] = {
    **{names: why for names, why in DAEMON.items() if not names.startswith("-D")},
    "--detach": _SUPERVISED,
    "-s/--schedule=": _STATE,
    "-S/--scheduler=": "schedules that change at run time are Schedule resources: umbel schedules export",
}
CALL_REFUSED: Final[Mapping[str, str]] = {"--exchange=": _NO_EXCHANGES, "--routing-key=": _NO_EXCHANGES}


def refused(options: Mapping[str, str]) -> Callable[[F], F]:
    """Add options to a command that end it with what to do in their place."""

    def refuse(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            raise click.UsageError(f"{_shown(param)} is Celery's, and not here: {_why(options, param)}", ctx)

    return _hidden(options, refuse)


def needless(options: Mapping[str, str]) -> Callable[[F], F]:
    """Add options to a command that have no effect, and say so."""

    def warn(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            click.echo(f"Warning: {_shown(param)} has no effect: {_why(options, param)}", err=True)

    return _hidden(options, warn)


def _hidden(
    options: Mapping[str, str], told: Callable[[click.Context, click.Parameter, Any], None]
) -> Callable[[F], F]:
    def add(function: F) -> F:
        for names in options:
            flag = not names.endswith("=")
            declared = names.rstrip("=").split("/")
            option = click.option(*declared, is_flag=flag, default=None, hidden=True, expose_value=False, callback=told)
            function = option(function)
        return function

    return add


def _shown(param: click.Parameter) -> str:
    return max(param.opts, key=len)


def _why(options: Mapping[str, str], param: click.Parameter) -> str:
    return next(why for names, why in options.items() if names.rstrip("=").split("/") == list(param.opts))
