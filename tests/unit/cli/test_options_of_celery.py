"""Options of Celery's commands that Umbel does not have: what is said of them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from umbel.cli.foreign import BEAT_REFUSED, CALL_REFUSED, WORKER_NEEDLESS, WORKER_REFUSED
from umbel.cli.main import umbel

REFUSED = [
    (command, flag, names.endswith("="), why)
    for command, options in (("worker", WORKER_REFUSED), ("beat", BEAT_REFUSED), ("call", CALL_REFUSED))
    for names, why in options.items()
    for flag in names.rstrip("=").split("/")
]
NEEDLESS = [(flag, names.endswith("=")) for names in WORKER_NEEDLESS for flag in names.rstrip("=").split("/")]


def _run(command: str, flag: str, takes_value: bool, *more: str) -> Result:
    name = ["x.y"] if command == "call" else []
    value = ["10"] if takes_value else []
    return CliRunner().invoke(umbel, ["-A", "no_such_module", command, *name, flag, *value, *more])


@pytest.mark.parametrize(("command", "flag", "takes_value", "why"), REFUSED)
def test_an_option_is_refused_with_what_to_do(command: str, flag: str, takes_value: bool, why: str) -> None:
    result = _run(command, flag, takes_value)
    assert result.exit_code == 2
    assert why in result.output


@pytest.mark.parametrize(("flag", "takes_value"), NEEDLESS)
def test_an_option_that_changes_nothing_is_taken_with_a_warning(flag: str, takes_value: bool) -> None:
    # The slip behind it ends the command: it was reached, so the option was taken.
    result = _run("worker", flag, takes_value, "-c", "0")
    assert "has no effect" in result.output
    assert "0 is not in the range" in result.output


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
