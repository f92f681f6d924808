"""The help of each command teaches: it has examples, and they name commands and options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from umbel.cli.main import COMMANDS, umbel


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden or name == "up":
            continue
        below = click.Context(command, parent=context, info_name=name)
        yield below.command_path, command
        if isinstance(command, click.Group):
            yield from _commands(command, below)


ALL = dict(_commands(umbel, click.Context(umbel, info_name="umbel")))
EXAMPLES = [
    (path, line.strip())
    for path, command in [("umbel", umbel), *ALL.items()]
    for line in (command.help or "").splitlines()
    if re.match(r"\s+umbel ", line)
]


def _examples(name: str) -> list[str]:
    return [line for path, line in EXAMPLES if path == f"umbel {name}" or path.startswith(f"umbel {name} ")]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_examples(name: str) -> None:
    assert _examples(name), f"umbel {name} --help shows no example"


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_an_example_can_be_typed(path: str, line: str) -> None:
    words = shlex.split(re.split(r"\s{2,}|\s>\s", line)[0])
    command: click.Command = umbel
    context = click.Context(command, info_name="umbel")
    rest = iter(words[1:])
    for word in rest:
        options = {
            name: parameter
            for parameter in command.get_params(context)
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        flag = word.partition("=")[0]
        if word.startswith("-"):
            assert flag in options, f"{path}: {line}: there is no option {flag}"
            option = options[flag]
            if "=" not in word and isinstance(option, click.Option) and not option.is_flag:
                next(rest)
        elif isinstance(command, click.Group):
            below = command.get_command(context, word)
            assert below is not None, f"{path}: {line}: there is no command {word}"
            context = click.Context(below, parent=context, info_name=word)
            command = below


@pytest.mark.parametrize("path", sorted(ALL))
def test_each_command_and_option_says_what_it_does(path: str) -> None:
    command = ALL[path]
    assert command.help
    silent = [o.opts for o in command.params if isinstance(o, click.Option) and not o.hidden and not o.help]
    assert not silent
