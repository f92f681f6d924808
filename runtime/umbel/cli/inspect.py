"""``umbel inspect``: questions to workers. Their supervisors answer, so this works while every slot is busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from umbel.cli.asking import Asking, asked, asking_options, fail_of, is_error, put, silence
from umbel.cli.custom import AppCommands, begin
from umbel.cli.exits import UNAVAILABLE, Fail
from umbel.cli.session import Session
from umbel.cli.table import ago, columns
from umbel.control.taskinfo import TaskInfo, unpack
from umbel.control.workers import registered as registered_workers

Show = Callable[[Session, dict[str, Any]], None]


@click.group(cls=AppCommands, kind="inspect", invoke_without_command=True)
@click.option("--list", "list_", is_flag=True, help="List the questions, those of the app included.")
@asking_options
@click.pass_context
def inspect(ctx: click.Context, /, list_: bool, **given: Any) -> None:
    """Ask workers. Their supervisors answer, which run no tasks: so also while every slot is busy.

    Questions of the app that -A names are here too.

    \b
    Examples:
      umbel -A shop.tasks inspect active
      umbel -A shop.tasks inspect stats -d w1@host --json
      umbel -A shop.tasks inspect query_task 5f2b…      which worker has a task
    """
    begin(ctx, list_, given)


def question(name: str, *arguments: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of ``umbel inspect``: the function gets the session, the options of asking, and its own arguments."""

    def make(function: Callable[..., Any]) -> click.Command:
        @click.pass_context
        def command(ctx: click.Context, /, **given: Any) -> None:
            names = ("destination", "pattern", "matcher", "timeout", "as_json")
            options = {option: given.pop(option) for option in names}
            session = ctx.find_object(Session) or Session()
            function(session, asked(ctx, **options), **given)

        command.__doc__ = function.__doc__
        made: Any = asking_options(command)
        for argument in reversed(arguments):
            made = argument(made)
        return inspect.command(name)(made)

    return make


def tell(session: Session, asking: Asking, answers: dict[str, Any], show: Show) -> None:
    """Print the answers; end with an error if a worker refused."""
    if asking.as_json:
        session.json(answers)
    else:
        show(session, {name: answer for name, answer in answers.items() if not is_error(answer)})
    failure = fail_of(answers)
    if failure is not None:
        raise failure


@question("ping")
def ping(session: Session, asking: Asking) -> None:
    """Ask who is there. Exits with 69 if a worker that is registered does not answer, or none is."""
    answers = put(session, asking, "ping")
    expected = [worker.name for worker in registered_workers(session.app.broker)]

    def show(session: Session, found: dict[str, Any]) -> None:
        for name in found:
            session.out(f"{name}: OK, pong")

    tell(session, asking, answers, show)
    silent = sorted(set(expected) - set(answers))
    if silent and asking.destination is None and asking.pattern is None:
        raise Fail(silence(silent, asking.seconds), UNAVAILABLE)


@question("active")
def active(session: Session, asking: Asking) -> None:
    """List the tasks that run now."""
    _list_tasks(session, asking, "active", "No task runs.")


@question("reserved")
def reserved(session: Session, asking: Asking) -> None:
    """List the tasks that workers have fetched and not begun."""
    _list_tasks(session, asking, "reserved", "No task is reserved.")


def _list_tasks(session: Session, asking: Asking, command: str, nothing: str) -> None:
    answers = {
        name: [unpack(info) for info in answer] if isinstance(answer, list) else answer
        for name, answer in put(session, asking, command).items()
    }

    def show(session: Session, found: dict[str, list[TaskInfo]]) -> None:
        rows = [
            (info["id"], info["name"], name, info["queue"], _since(info), call_of(info))
            for name, infos in found.items()
            for info in infos
        ]
        _table(session, ("id", "task", "worker", "queue", "for", "arguments"), rows, nothing)

    tell(session, asking, answers, show)


@question("scheduled", click.option("-n", "--limit", type=click.IntRange(1), help="Of each queue.  [default: 100]"))
def scheduled(session: Session, asking: Asking, limit: int | None) -> None:
    """List the delayed tasks of the workers' queues, the soonest first. They wait in Redis, not in a worker."""
    answers = put(session, asking, "scheduled", {"limit": limit})

    def show(session: Session, found: dict[str, list[dict[str, Any]]]) -> None:
        requests = {item["request"]["id"]: (item["eta"], unpack(item["request"])) for v in found.values() for item in v}
        rows = [(r["id"], r["name"], r["queue"], eta, call_of(r)) for eta, r in requests.values()]
        _table(session, ("id", "task", "queue", "eta", "arguments"), rows, "No task is delayed.")

    tell(session, asking, answers, show)


@question("revoked")
def revoked(session: Session, asking: Asking) -> None:
    """List the ids of revoked tasks that workers know."""
    tell(session, asking, put(session, asking, "revoked"), _lists("No task is revoked."))


@question("registered", click.argument("items", metavar="[OPTION]…", nargs=-1))
def registered(session: Session, asking: Asking, items: tuple[str, ...]) -> None:
    """List the tasks that workers know; with options of tasks (max_retries, queue, …) also these, where they are set."""
    answers = put(session, asking, "registered", {"taskinfoitems": list(items) or None})
    tell(session, asking, answers, _lists("No task is registered."))


@question("query_task", click.argument("ids", metavar="ID…", nargs=-1, required=True))
def query_task(session: Session, asking: Asking, ids: tuple[str, ...]) -> None:
    """Show which worker holds tasks, and whether they run."""
    answers = put(session, asking, "query_task", {"ids": list(ids)})

    def show(session: Session, found: dict[str, dict[str, Any]]) -> None:
        rows = [
            (task_id, state, name, info["name"], info["queue"], _since(info))
            for name, tasks in found.items()
            for task_id, (state, info) in tasks.items()
        ]
        _table(session, ("id", "state", "worker", "task", "queue", "for"), rows, "No worker holds them.")

    tell(session, asking, answers, show)


@question("stats")
def stats(session: Session, asking: Asking) -> None:
    """Show figures of each worker: slots, processes, queues, memory, how long it has run."""
    tell(session, asking, put(session, asking, "stats"), show_nested)


@question("active_queues")
def active_queues(session: Session, asking: Asking) -> None:
    """List the queues that workers consume."""

    def show(session: Session, found: dict[str, list[dict[str, Any]]]) -> None:
        rows = [(name, queue["name"], queue["weight"]) for name, queues in found.items() for queue in queues]
        _table(session, ("worker", "queue", "weight"), rows, "No queue is consumed.")

    tell(session, asking, put(session, asking, "active_queues"), show)


@question("conf", click.option("-a", "--all", "all_", is_flag=True, help="Also settings at their defaults."))
def conf(session: Session, asking: Asking, all_: bool) -> None:
    """Show the workers' settings, without secrets."""
    tell(session, asking, put(session, asking, "conf", {"with_defaults": all_}), show_nested)


@question("report")
def report(session: Session, asking: Asking) -> None:
    """Show of each worker what a bug report should say."""

    def show(session: Session, found: dict[str, dict[str, str]]) -> None:
        for name, answer in found.items():
            session.out(name, bold=True)
            for line in answer["ok"].splitlines():
                session.out(f"  {line}")

    tell(session, asking, put(session, asking, "report"), show)


def _table(session: Session, header: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> None:
    if rows:
        for line in columns(header, rows):
            session.out(line)
    else:
        session.say(nothing)


def _lists(nothing: str) -> Show:
    """Return what prints a list of each worker."""

    def show(session: Session, found: dict[str, Any]) -> None:
        if not any(found.values()):
            session.say(nothing)
            return
        for name, items in found.items():
            session.out(name, bold=True)
            for item in items or ["-"]:
                session.out(f"  {item}")

    return show


def _show_custom(session: Session, asking: Asking, answers: dict[str, Any]) -> None:
    tell(session, asking, answers, show_nested)


inspect.show = _show_custom


def show_nested(session: Session, found: dict[str, Any]) -> None:
    """Print an answer of each worker, whatever its shape."""
    for name, answer in found.items():
        session.out(name, bold=True)
        if not isinstance(answer, dict):
            session.out(f"  {answer}")
            continue
        for key, value in answer.items():
            _nested(session, key, value, 2)


def _nested(session: Session, key: str, value: Any, indent: int) -> None:
    if isinstance(value, dict) and value:
        session.out(f"{' ' * indent}{key}:")
        for inner, item in value.items():
            _nested(session, inner, item, indent + 2)
    elif isinstance(value, list):
        session.out(f"{' ' * indent}{key}: {', '.join(map(str, value)) or '-'}")
    else:
        session.out(f"{' ' * indent}{key}: {'-' if value is None or value == {} else value}")


def _since(info: TaskInfo) -> str | None:
    return None if info.get("runtime") is None else ago(info["runtime"])


def call_of(info: TaskInfo, width: int = 80) -> str:
    """Return the arguments of a task as a call shows them, cut to ``width`` characters."""
    if info.get("args") is None:
        return str(info.get("error") or "")
    parts = [*map(repr, info["args"]), *(f"{key}={value!r}" for key, value in (info["kwargs"] or {}).items())]
    text = f"({', '.join(parts)})"
    return text if len(text) <= width else text[: width - 1] + "…"
