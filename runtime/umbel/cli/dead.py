"""``umbel dead``: the messages that no worker will run, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.exits import FAILED, Fail
from umbel.cli.inspect import call_of
from umbel.cli.queues import split, warn_of_unknown
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import columns
from umbel.control.inspect import describe

if TYPE_CHECKING:
    from umbel.broker.base import DeadLetter

#: How many letters are asked for at once.
PAGE = 200

queues_option = click.option("-Q", "--queues", "names", metavar="A,B", help="Only these queues.")


@click.group()
def dead() -> None:
    """Look at dead letters: unreadable, rejected, unknown tasks, and those whose process died too often."""


@dead.command("list")
@queues_option
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many per queue.")
@json_option
@pass_session
def list_letters(session: Session, names: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the newest first."""
    found = [
        _described(letter, queue)
        for queue in _chosen(session, names)
        for letter in session.app.broker.dead(queue, limit)
    ]
    found.sort(key=lambda info: str(info["died"]), reverse=True)
    if as_json:
        session.json(found)
        return
    if not found:
        session.say("No dead letters.")
        return
    rows = [(i["died"], i["queue"], i["id"], i["name"], i["reason"].get("reason"), call_of(i, 40)) for i in found]
    for line in columns(("died", "queue", "id", "task", "reason", "arguments"), rows):
        session.out(line)


@dead.command()
@click.argument("task_id", metavar="ID")
@queues_option
@json_option
@pass_session
def show(session: Session, task_id: str, names: str | None, as_json: bool) -> None:
    """Show one dead letter: the task, its arguments, its counts, and the reason in full."""
    for queue in _chosen(session, names):
        for letter in _all(session, queue):
            info = _described(letter, queue)
            if info["id"] == task_id or letter.reason.get("id") == task_id:
                _print(session, info, as_json)
                return
    raise Fail(f"no dead letter has the id {task_id}; umbel dead list shows those that are there", FAILED)


def _print(session: Session, info: dict[str, Any], as_json: bool) -> None:
    if as_json:
        session.json(info)
        return
    for key, value in info.items():
        if isinstance(value, dict) and key == "reason":
            for part, text in value.items():
                session.out(f"{'reason' if part == 'reason' else f'  {part}'}: {text}")
        else:
            session.out(f"{key}: {value}")


def _chosen(session: Session, names: str | None) -> list[str]:
    wanted = split(names)
    if wanted:
        warn_of_unknown(session, wanted)
        return wanted
    return session.app.broker.queues()


def _all(session: Session, queue: str) -> Iterator[DeadLetter]:
    offset = 0
    while True:
        page = session.app.broker.dead(queue, PAGE, offset)
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def _described(letter: DeadLetter, queue: str) -> dict[str, Any]:
    died = datetime.fromtimestamp(letter.died, timezone.utc)  # noqa: UP017 - as elsewhere
    return {"died": died.isoformat(timespec="seconds"), **describe(letter.payload, queue), "reason": letter.reason}
