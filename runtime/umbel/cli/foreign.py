"""Commands and options of Celery's that Umbel does not have: refused with what to do, or taken with a warning without effect."""

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
#: Of all commands.
REFUSED: Final[Mapping[str, str]] = {"--loader=": "there are no loaders; --config names a module with more settings"}
NEEDLESS: Final[Mapping[str, str]] = {"--skip-checks": "nothing is checked that could be skipped"}
BEAT_NEEDLESS: Final[Mapping[str, str]] = {
    "--enable-remote-control/--no-enable-remote-control": "beat takes no commands; --port serves /livez, /readyz and /v1/status",
    "-n/--hostname=": "beats of an app are one: one of them leads",
}
EVENTS_REFUSED: Final[Mapping[str, str]] = DAEMON
EVENTS_NEEDLESS: Final[Mapping[str, str]] = {"-l/--loglevel=": "it prints what happens, and logs nothing"}
_NO_GREEN_THREADS: Final = "there are no green threads: --pool asyncio of workers runs async def tasks"
SHELL_REFUSED: Final[Mapping[str, str]] = {"--eventlet": _NO_GREEN_THREADS, "--gevent": _NO_GREEN_THREADS}
CALL_REFUSED: Final[Mapping[str, str]] = {"--exchange=": _NO_EXCHANGES, "--routing-key=": _NO_EXCHANGES}


#: Commands: name -> what to do in its place.
COMMANDS: Final[Mapping[str, str]] = {
    "multi": "one worker has any number of children (--concurrency), and a supervisor (Kubernetes, systemd) starts and ends "
    "workers; umbel status lists them, umbel control shutdown ends them",
    "list": "there are no bindings; umbel queues lists the queues",
    "graph": "workers do not hang together; umbel status --json lists them, umbel result ID --graph shows a workflow",
    "logtool": "UMBEL_LOG_FORMAT=json writes log lines that any tool reads; umbel events --since 2h shows what happened",
    "amqp": "there is no AMQP; umbel queues shows and changes queues, umbel dead the messages that failed",
    "migrate": "messages are not copied from one broker to another, since that could run them twice: start workers on both "
    "brokers until the old one is empty",
    "flower": "umbel events is a live view in the terminal, /metrics of workers is for Prometheus",
}
UPGRADE_SETTINGS: Final = "umbel upgrade celery PATH reads settings too, along with imports, tasks and calls"


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
