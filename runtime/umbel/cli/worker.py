"""``umbel worker``. The app is imported by the worker's own processes, never in this one."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import click

from umbel.cli.exits import USAGE, Fail
from umbel.cli.foreign import WORKER_NEEDLESS, WORKER_REFUSED, needless, refused
from umbel.cli.given import SettingValue
from umbel.cli.queues import split
from umbel.cli.session import Session, pass_session
from umbel.executors import executor
from umbel.logs import LEVELS, setup_logging


class Executor(click.ParamType[str]):
    """An executor, by one of its names."""

    name = "executor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the executor's own name."""
        try:
            return executor(value)
        except ValueError as error:
            self.fail(f"there is no executor {value!r}: give {error}", param, ctx)


class Queues(click.ParamType[tuple[tuple[str, int], ...]]):
    """``mail=2,reports``: names of queues, with weights where they are not 1."""

    name = "queues"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return ((name, weight), …)."""
        if isinstance(value, tuple):
            return value
        found: dict[str, int] = {}
        for part in str(value).split(","):
            queue, equals, weight = part.strip().partition("=")
            if not queue:
                self.fail("give names separated by commas, with weights where wanted: mail=2,reports", param, ctx)
            if equals and (not weight.isdecimal() or not 1 <= int(weight) <= 1000):
                self.fail(f"the weight of {queue!r} is {weight!r}; give a whole number from 1 to 1000", param, ctx)
            if queue in found:
                self.fail(f"the queue {queue!r} is named twice", param, ctx)
            found[queue] = int(weight) if equals else 1
        return tuple(found.items())


def expand_hostname(pattern: str) -> str:
    """Return a worker's name with %h (host name), %n (its first part), %d (the rest) and %% filled in."""
    host = socket.gethostname()
    first, _, domain = host.partition(".")
    parts = {"h": host, "n": first, "d": domain, "%": "%"}
    out, rest = "", pattern
    while rest:
        before, percent, rest = rest.partition("%")
        out += before
        if percent:
            out += parts.get(rest[:1], "%" + rest[:1])
            rest = rest[1:]
    return out


@click.command()
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Tasks at once. [default: the app's, or the CPUs]")
@click.option(
    "-P",
    "--pool",
    type=Executor(),
    metavar="EXECUTOR",
    help="What runs tasks: process, thread, asyncio, solo; or Celery's prefork, threads. [default: the app's]",
)
@click.option(
    "--children", type=click.IntRange(1), help="Processes with thread and asyncio. [default: the app's, or 1]"
)
@click.option(
    "--prefetch",
    type=click.IntRange(0, 1000),
    metavar="N",
    help="Tasks that a process may hold ahead, at most; 0 for none. [default: as few as hide the round trip]",
)
@click.option("--max-tasks-per-child", type=click.IntRange(1), metavar="N", help="Replace a process after N tasks.")
@click.option(
    "--max-memory-per-child", type=click.IntRange(1), metavar="KIB", help="Replace a process that holds more memory."
)
@click.option("--disable-prefetch", is_flag=True, help="The same as --prefetch 0.")
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Of tasks that have none."
)
@click.option(
    "--soft-time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Of tasks that have none."
)
@click.option("--autoreload", is_flag=True, help="For development: new processes when a .py file here changes.")
@click.option("-Q", "--queues", type=Queues(), metavar="A=2,B", help="Queues and weights. [default: the app's]")
@click.option("-X", "--exclude-queues", "excluded", metavar="A,B", help="Not these queues.")
@click.option("--purge", "--discard", is_flag=True, help="First drop all tasks that wait in the queues.")
@click.option(
    "--queue-order",
    type=click.Choice(["weighted", "round-robin", "strict"]),
    default="weighted",
    show_default=True,
    envvar="UMBEL_QUEUE_ORDER",
    help="How to choose among the queues; strict: the first of -Q that has a task.",
)
@click.option(
    "-l",
    "--loglevel",
    default="INFO",
    show_default=True,
    type=click.Choice(LEVELS, case_sensitive=False),
    help="The lowest level to log. UMBEL_LOG_FORMAT=json for JSON.",
)
@click.option(
    "-n", "--hostname", metavar="NAME", help="The worker's name; %h %n %d stand for the host. [default: APP@%h]"
)
@click.option("--health-port", type=click.IntRange(0, 65535), envvar="UMBEL_HEALTH_PORT", help="Serve /livez, /readyz.")
@click.option("--strict-queues", is_flag=True, help="Refuse queues that neither the app nor the broker knows.")
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    envvar="UMBEL_DRAIN_TIMEOUT",
    metavar="SECONDS",
    help="After SIGTERM, wait so long for running tasks.",
)
@click.option(
    "--kill-stopped-after",
    type=click.FloatRange(1),
    envvar="UMBEL_KILL_STOPPED_AFTER",
    metavar="SECONDS",
    help="Kill a child that somebody stopped (SIGSTOP). [default: only say so after 60 s]",
)
@click.option(
    "-E",
    "--task-events",
    "--events",
    "task_events",
    is_flag=True,
    help="Write what happens to tasks as events, for umbel events and other monitors. [default: the app's]",
)
@click.option("-I", "--include", multiple=True, metavar="MODULE", help="Import this module too; may be repeated.")
@click.argument("settings", nargs=-1, type=SettingValue(), metavar="[SETTING=VALUE]…")
@refused(WORKER_REFUSED)
@needless(WORKER_NEEDLESS)
@pass_session
def worker(
    session: Session,
    /,
    queues: tuple[tuple[str, int], ...] | None,
    queue_order: str,
    loglevel: str,
    settings: tuple[tuple[str, str], ...],
    time_limit: float | None,
    soft_time_limit: float | None,
    drain_timeout: float | None,
    **given: Any,
) -> None:
    """Start a worker, which runs the tasks of some queues.

    Ends on SIGTERM, SIGINT, or `umbel control shutdown`: it stops fetching, gives back what has not begun, finishes what runs.
    A second signal ends it at once; what ran goes back to the queue.

    SETTING=VALUE is a setting of the app, such as result_expires=3600, that wins over all other places.

    \b
    Examples:
      umbel -A shop.tasks worker                           all queues that the app names, a process for each CPU
      umbel -A shop.tasks worker -c 8 -Q mail=2,reports    two queues, mail twice as often
      umbel -A shop.tasks worker -P asyncio -c 200         async def tasks, 200 at once
      umbel -A shop.tasks worker -l debug --autoreload     while you write tasks

    Exits with 0 when it was told to end (or with what WorkerShutdown says, where the app raises that), 2 if the app or an option is
    wrong, 69 without Redis.
    """
    app = session.require_app("worker")
    if queue_order == "strict" and queues is None:
        raise Fail("--queue-order strict needs the queues in their order: name them with -Q first,second", USAGE)
    from umbel.worker.main import run
    from umbel.worker.options import WorkerOptions

    setup_logging(loglevel)
    if drain_timeout is not None:  # else what the environment says
        given["drain_timeout"] = drain_timeout
    options = WorkerOptions(
        app=app,
        queues=queues,
        queue_order=queue_order,
        loglevel=loglevel.upper(),
        broker=session.broker,
        config=session.config,
        workdir=_folder(session.workdir),
        settings=_settings(session.backend, time_limit, soft_time_limit, settings),
        **_as_options(given),
    )
    sys.exit(run(options))


def _as_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the other options as `WorkerOptions` has them: most under their own names."""
    changed = {
        "prefetch": 0 if given.pop("disable_prefetch") else given["prefetch"],
        "hostname": expand_hostname(given["hostname"]) if given["hostname"] else None,
        "exclude_queues": tuple(split(given.pop("excluded"))),
        "task_events": given["task_events"] or None,
        "include": tuple(name.strip() for names in given["include"] for name in names.split(",") if name.strip()),
    }
    return given | changed


def _settings(
    backend: str | None, hard: float | None, soft: float | None, given: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return the settings that the command line gives; those with an option of their own come last, and win."""
    options = {"result_backend": backend, "task_time_limit": hard, "task_soft_time_limit": soft}
    return (*given, *((name, str(value)) for name, value in options.items() if value is not None))


def _folder(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
