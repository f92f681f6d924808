"""``umbel status``: which workers are there, by their heartbeats. Also those that do not answer."""

from __future__ import annotations

from typing import Any

import click

from umbel.cli.asking import NO_WORKERS, names_of
from umbel.cli.exits import UNAVAILABLE, Fail
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import ago, columns
from umbel.control.workers import WorkerInfo, registered


@click.command()
@click.option("-d", "--destination", metavar="NAME,…", help="Only these workers, by their names.")
@click.option("-t", "--timeout", type=float, hidden=True, help="Taken for Celery's users: nobody is waited for.")
@json_option
@pass_session
def status(session: Session, destination: str | None, timeout: float | None, as_json: bool) -> None:
    """Show which workers are there, how busy they are, and which queues they consume.

    It reads their heartbeats in Redis, so it does not wait for answers, and names workers that do not answer too.

    \b
    Examples:
      umbel -A shop.tasks status
      umbel -b redis://localhost:6379/0 status --json

    Exits with 69 if there is none.
    """
    workers = registered(session.app.broker, names_of(destination))
    if as_json:
        session.json([_as_json(worker) for worker in workers])
    elif workers:
        header = ("worker", "state", "busy", "slots", "heartbeat", "queues")
        rows = [
            (w.name, w.state, w.busy, len(w.owners), f"{ago(w.age)} ago", ",".join(w.queues) or None) for w in workers
        ]
        for line in columns(header, rows):
            session.out(line)
        session.say(f"\n{_counted(workers)}")
    if not workers and destination is None:
        raise Fail(NO_WORKERS, UNAVAILABLE)
    if not workers:
        raise Fail(f"no worker is called {destination}; umbel status lists those that are there", UNAVAILABLE)


def _counted(workers: list[WorkerInfo]) -> str:
    silent = sum(1 for worker in workers if worker.state == "silent")
    online = len(workers) - silent
    text = f"{online} worker{'' if online == 1 else 's'} online"
    return f"{text}, {silent} silent." if silent else f"{text}."


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
