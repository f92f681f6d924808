"""``umbel control``: commands to workers."""

from __future__ import annotations

import click

from umbel.cli.exits import UNAVAILABLE, Fail
from umbel.cli.inspect import NO_WORKERS, destination_option, names_of
from umbel.cli.session import Session, json_option, pass_session
from umbel.control.commands import Control


@click.group()
def control() -> None:
    """Tell workers what to do."""


@control.command()
@click.argument("task_ids", metavar="ID…", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Also end the task if it runs already, by killing its process.")
@json_option
@pass_session
def revoke(session: Session, task_ids: tuple[str, ...], terminate: bool, as_json: bool) -> None:
    """Keep tasks from running, for a day. Workers that start later know of it too."""
    heard = Control(session.app).revoke(task_ids, terminate=terminate)
    if as_json:
        session.json({"revoked": list(task_ids), "terminate": terminate, "heard": heard})
        return
    tasks = "1 task" if len(task_ids) == 1 else f"{len(task_ids)} tasks"
    session.say(f"Revoked {tasks}; {_heard(heard)}.")


@control.command()
@destination_option
@json_option
@pass_session
def shutdown(session: Session, destination: str | None, as_json: bool) -> None:
    """End workers as SIGTERM does: they finish what runs, and give the rest back.

    A worker in a Kubernetes pod is started again by its Deployment: scale the WorkerPool to 0 instead.
    """
    heard = Control(session.app).shutdown(names_of(destination))
    if as_json:
        session.json({"shutdown": names_of(destination), "heard": heard})
    if not heard:
        raise Fail(NO_WORKERS, UNAVAILABLE)
    if not as_json:
        session.say(f"Told to shut down: {_heard(heard)}.")


def _heard(count: int) -> str:
    return f"{count} worker{'s' if count != 1 else ''} heard it"
