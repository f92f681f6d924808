"""``umbel status`` and ``umbel inspect``: who is there, and what they hold. Answered from Redis, not by the workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.exits import UNAVAILABLE, Fail
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import ago, columns
from umbel.control.inspect import PING_TIMEOUT, Inspect

if TYPE_CHECKING:
    from umbel.control.inspect import TaskInfo, WorkerInfo

NO_WORKERS = (
    "no worker is registered with this broker. Start one with umbel -A module[:app] worker, and check that it has the same "
    "broker URL and key prefix (umbel report shows them)"
)

destination_option = click.option(
    "-d", "--destination", metavar="NAME,…", help="Only these workers, by their names.", default=None
)


def names_of(destination: str | None) -> list[str] | None:
    """Return the names in ``a,b``, None for all."""
    return None if destination is None else [name.strip() for name in destination.split(",") if name.strip()]


def _ask(session: Session, destination: str | None) -> Inspect:
    return Inspect(session.app, names_of(destination))


def _nobody(destination: str | None) -> Fail:
    if destination is None:
        return Fail(NO_WORKERS, UNAVAILABLE)
    return Fail(f"no worker is called {destination}; umbel status lists those that are there", UNAVAILABLE)


@click.command()
@destination_option
@json_option
@pass_session
def status(session: Session, destination: str | None, as_json: bool) -> None:
    """Show which workers are there, how busy they are, and which queues they consume.

    Exits with 69 if there is none.
    """
    workers = _ask(session, destination).workers()
    if as_json:
        session.json([_as_json(worker) for worker in workers])
    else:
        header = ("worker", "state", "busy", "slots", "heartbeat", "queues")
        rows = [
            (w.name, w.state, w.busy, len(w.owners), f"{ago(w.age)} ago", ",".join(w.queues) or None) for w in workers
        ]
        if rows:
            for line in columns(header, rows):
                session.out(line)
            session.say(f"\n{len(rows)} worker{'s' if len(rows) != 1 else ''} online.")
    if not workers:
        raise _nobody(destination)


def _as_json(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "name": worker.name,
        "id": worker.id,
        "state": worker.state,
        "slots": len(worker.owners),
        "busy": worker.busy,
        "queues": worker.queues,
        "last_beat_seconds": round(worker.age, 1),
    }


@click.group()
def inspect() -> None:
    """Look at workers. Their records in Redis are read, so this works while every slot is busy."""


@inspect.command()
@destination_option
@click.option("-t", "--timeout", type=click.FloatRange(0, min_open=True), default=PING_TIMEOUT, show_default=True)
@json_option
@pass_session
def ping(session: Session, destination: str | None, timeout: float, as_json: bool) -> None:
    """Wait for a fresh heartbeat of each worker. Exits with 69 if one does not come, or nobody is there."""
    question = _ask(session, destination)
    names = [worker.name for worker in question.workers()]
    answers = question.ping(timeout)
    silent = sorted(set(names) - set(answers))
    if as_json:
        session.json(answers)
    else:
        for name in answers:
            session.out(f"{name}: OK, pong")
    if not names:
        raise _nobody(destination)
    if silent:
        raise Fail(
            f"no heartbeat within {timeout:g} seconds from: {', '.join(silent)}. Such a worker is dead or cut off; what it "
            "held goes back to the queues about 10 seconds after its last heartbeat",
            UNAVAILABLE,
        )


@inspect.command()
@destination_option
@json_option
@pass_session
def active(session: Session, destination: str | None, as_json: bool) -> None:
    """List the tasks that run now."""
    _list_tasks(session, _ask(session, destination).active(), destination, as_json, "no task runs")


@inspect.command()
@destination_option
@json_option
@pass_session
def reserved(session: Session, destination: str | None, as_json: bool) -> None:
    """List the tasks that workers have fetched and not begun."""
    _list_tasks(session, _ask(session, destination).reserved(), destination, as_json, "no task is reserved")


def _list_tasks(
    session: Session, by_worker: dict[str, list[TaskInfo]], destination: str | None, as_json: bool, nothing: str
) -> None:
    if as_json:
        session.json(by_worker)
    else:
        rows = [
            (info["id"], info["name"], name, info["queue"], _since(info), call_of(info))
            for name, infos in by_worker.items()
            for info in infos
        ]
        if rows:
            for line in columns(("id", "task", "worker", "queue", "for", "arguments"), rows):
                session.out(line)
        elif by_worker:
            session.say(f"{nothing[0].upper()}{nothing[1:]}.")
    if not by_worker:
        raise _nobody(destination)


def _since(info: TaskInfo) -> str | None:
    started = info.get("time_start")
    return ago(max(0.0, time.time() - started)) if started else None


def call_of(info: TaskInfo, width: int = 80) -> str:
    """Return the arguments of a task as a call shows them, cut to ``width`` characters."""
    if info.get("args") is None:
        return str(info.get("error") or "")
    parts = [*map(repr, info["args"]), *(f"{key}={value!r}" for key, value in (info["kwargs"] or {}).items())]
    text = f"({', '.join(parts)})"
    return text if len(text) <= width else text[: width - 1] + "…"


@inspect.command()
@destination_option
@json_option
@pass_session
def stats(session: Session, destination: str | None, as_json: bool) -> None:
    """Show figures of each worker: state, slots, queues, processes."""
    found = _ask(session, destination).stats()
    if as_json:
        session.json(found)
    else:
        for name, figures in found.items():
            session.out(name, bold=True)
            for key, value in figures.items():
                session.out(f"  {key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if not found:
        raise _nobody(destination)
