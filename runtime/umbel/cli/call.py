"""``umbel call`` and ``umbel result``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from umbel import states
from umbel.cli.exits import FAILED, PENDING, USAGE, Fail
from umbel.cli.foreign import CALL_REFUSED, refused
from umbel.cli.queues import warn_of_unknown
from umbel.cli.session import Session, json_option, pass_session
from umbel.errors import TimeoutError

if TYPE_CHECKING:
    from umbel.result import AsyncResult


class JSON(click.ParamType[Any]):
    """A value written as JSON, of one kind."""

    def __init__(self, kind: type, example: str) -> None:
        self.name = "json"
        self._kind = kind
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value."""
        if isinstance(value, self._kind):
            return value
        try:
            found = json.loads(value)
        except json.JSONDecodeError as error:
            self.fail(f"{value!r} is not JSON ({error.msg}); write for example '{self._example}'", param, ctx)
        if not isinstance(found, self._kind):
            self.fail(f"{value!r} is not of the right form; write for example '{self._example}'", param, ctx)
        return found


class Moment(click.ParamType[Any]):
    """A moment in ISO 8601, or with ``numbers`` also seconds."""

    def __init__(self, *, numbers: bool) -> None:
        self.name = "seconds|moment" if numbers else "moment"
        self._numbers = numbers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a datetime, or a number of seconds."""
        if not isinstance(value, str):
            return value
        if self._numbers:
            try:
                return float(value)
            except ValueError:
                pass
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no moment; write for example 2030-01-31T08:00:00+01:00", param, ctx)


@click.command()
@click.argument("name")
@click.option("-a", "--args", type=JSON(list, "[1, 2]"), help="Positional arguments, a JSON list.")
@click.option("-k", "--kwargs", type=JSON(dict, '{"x": 1}'), help="Named arguments, a JSON object.")
@click.option("--countdown", type=click.FloatRange(0), metavar="SECONDS", help="Begin after so long.")
@click.option("--eta", type=Moment(numbers=False), help="Begin at this moment.")
@click.option("--expires", type=Moment(numbers=True), help="Do not begin after so many seconds, or this moment.")
@click.option("--queue", help="Send to this queue.")
@click.option("--priority", type=click.IntRange(0, 9), help="9 is served first.")
@click.option("--serializer", help="The codec of the arguments.")
@click.option("-f", "--force", is_flag=True, help="Send it even if the app does not know the task.")
@json_option
@refused(CALL_REFUSED)
@pass_session
def call(session: Session, /, name: str, force: bool, as_json: bool, **given: Any) -> None:
    """Send the task NAME and print its id.

    With -A the name and the arguments are checked against the app; without it the task is sent as it is.

    \b
    Examples:
      umbel -A shop.tasks call shop.tasks.add -a '[2, 3]'
      umbel -A shop.tasks call shop.tasks.mail -k '{"to": "ada"}' --countdown 60 --queue mail
      umbel -A shop.tasks result "$(umbel -A shop.tasks call shop.tasks.add -a '[2, 3]')" --wait 10
    """
    app = session.app
    if session.app_name is not None:
        app.import_modules()
        if name not in app.tasks and not force:
            from umbel.registry import not_registered

            raise Fail(f"{not_registered(name, list(app.tasks))}; --force sends it all the same", FAILED)
    if given["queue"]:
        warn_of_unknown(session, [given["queue"]])
    args, kwargs = given.pop("args"), given.pop("kwargs")
    options = {option: value for option, value in given.items() if value is not None}
    try:
        result = app.send_task(name, args, kwargs, **options)
    except (TypeError, ValueError) as error:
        raise Fail(str(error), USAGE) from error
    if as_json:
        session.json({"id": result.id, "task": name})
    else:
        session.out(result.id)


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("-t", "--task", hidden=True)
@click.option("--wait", type=click.FloatRange(0), metavar="SECONDS", help="Wait so long for the task to end.")
@click.option("--traceback", "with_traceback", is_flag=True, help="Print the traceback of a failure.")
@click.option(
    "--graph",
    is_flag=False,
    flag_value="tree",
    type=click.Choice(["tree", "mermaid", "dot", "svg"]),
    help="Show the workflow that the task belongs to, or what the task has sent, with states and run times.",
)
@json_option
@pass_session
def result(
    session: Session,
    task_id: str,
    task: str | None,
    wait: float | None,
    with_traceback: bool,
    graph: str | None,
    as_json: bool,
) -> None:
    """Show the result of a task.

    Exits with 0 if it succeeded, 1 if it failed, 3 if it has not ended; an unknown id counts as not ended.

    \b
    Examples:
      umbel -A shop.tasks result 5f2b… --wait 10
      umbel -A shop.tasks result 5f2b… --traceback
    """
    found: AsyncResult[Any] = session.app.AsyncResult(task_id)
    if wait:
        try:
            found.get(timeout=wait, propagate=False)
        except TimeoutError:
            pass
    if graph is not None:
        from umbel.result.drawing import DRAWINGS

        session.out(DRAWINGS[graph](found.graph))
        return
    state = found.state
    value = found.result
    failed = state in states.PROPAGATE_STATES
    if as_json:
        session.json(_as_json(found, state, value))
    elif failed:
        if with_traceback and found.traceback:
            session.out(found.traceback, fg="red")
        session.out(f"{state}: {type(value).__name__}: {value}".rstrip(": "))
    elif state == states.SUCCESS:
        session.out(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    else:
        session.out(state if value is None else f"{state}: {value}")
    if failed:
        raise SystemExit(FAILED)
    if state != states.SUCCESS:
        raise SystemExit(PENDING)


def _as_json(found: AsyncResult[Any], state: str, value: Any) -> dict[str, Any]:
    if isinstance(value, BaseException):
        value = {"type": type(value).__name__, "message": str(value)}
    done = found.date_done
    return {
        "id": found.id,
        "state": state,
        "result": value,
        "traceback": found.traceback,
        "done": None if done is None else done.isoformat(),
        "worker": found.worker,
    }
