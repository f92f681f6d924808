"""Options of Celery's commands that Umbel does not have: what is said of them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from umbel.cli import foreign
from umbel.cli.main import COMMANDS, umbel

REFUSED = [
    (command, flag, names.endswith("="), why)
    for command, options in (
        ("worker", foreign.WORKER_REFUSED),
        ("beat", foreign.BEAT_REFUSED),
        ("call", foreign.CALL_REFUSED),
        ("events", foreign.EVENTS_REFUSED),
        ("shell", foreign.SHELL_REFUSED),
    )
    for names, why in options.items()
    for flag in names.rstrip("=").split("/")
]
#: With a slip that ends the command.
NEEDLESS = [
    (command, flag, names.endswith("="), slip)
    for command, options, slip in (
        ("worker", foreign.WORKER_NEEDLESS, ("-c", "0")),
        ("beat", foreign.BEAT_NEEDLESS, ("--port", "-1")),
        ("events", foreign.EVENTS_NEEDLESS, ("--freq", "0")),
    )
    for names in options
    for flag in names.rstrip("=").split("/")
]
#: As Celery 5.6 has them.
CELERYS = (
    *("amqp", "beat", "call", "control", "events", "graph", "inspect", "list", "logtool", "migrate", "multi", "purge"),
    *("report", "result", "shell", "status", "upgrade", "worker"),
)


def _run(command: str, flag: str, takes_value: bool, *more: str) -> Result:
    name = ["x.y"] if command == "call" else []
    value = ["10"] if takes_value else []
    return CliRunner().invoke(umbel, ["-A", "no_such_module", command, *name, flag, *value, *more])


@pytest.mark.parametrize(("command", "flag", "takes_value", "why"), REFUSED)
def test_an_option_is_refused_with_what_to_do(command: str, flag: str, takes_value: bool, why: str) -> None:
    result = _run(command, flag, takes_value)
    assert result.exit_code == 2
    assert why in result.output


@pytest.mark.parametrize(("command", "flag", "takes_value", "slip"), NEEDLESS)
def test_an_option_that_changes_nothing_is_taken_with_a_warning(
    command: str, flag: str, takes_value: bool, slip: tuple[str, str]
) -> None:
    # The slip behind it ends the command: it was reached, so the option was taken.
    result = _run(command, flag, takes_value, *slip)
    assert "has no effect" in result.output
    assert "is not in the range" in result.output


@pytest.mark.parametrize("name", CELERYS)
def test_each_command_of_celery_is_there_or_says_what_to_do(name: str) -> None:
    assert (name in COMMANDS) != (name in foreign.COMMANDS)


@pytest.mark.parametrize(("name", "why"), sorted(foreign.COMMANDS.items()))
def test_a_command_is_refused_with_what_to_do(name: str, why: str) -> None:
    result = CliRunner().invoke(umbel, [name, "start", "-c", "3"])
    assert result.exit_code == 2
    assert why in result.output


def test_settings_are_upgraded_by_another_command() -> None:
    result = CliRunner().invoke(umbel, ["upgrade", "settings", "settings.py", "--django"])
    assert result.exit_code == 2
    assert "umbel upgrade celery PATH" in result.output


def test_global_options() -> None:
    refused = CliRunner().invoke(umbel, ["--loader", "app", "report"])
    assert refused.exit_code == 2
    assert "there are no loaders" in refused.output
    assert "has no effect" in CliRunner().invoke(umbel, ["--skip-checks", "completion", "bash"]).output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("task_time_limit", "is no setting; write for example task_time_limit=30"),
        ("task_time_limt=3", "did you mean 'task_time_limit'?"),
        ("task_time_limit=-3", "give seconds, above 0"),
    ],
)
def test_a_setting_on_the_command_line_that_is_none(given: str, said: str) -> None:
    result = CliRunner().invoke(umbel, ["-A", "no_such_module", "worker", given])
    assert result.exit_code == 2
    assert said in result.output
