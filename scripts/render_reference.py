"""Write docs/reference/{settings,command-line,options}.md from the code, or check that they are current (--check)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from umbel.cli import exits
from umbel.cli.main import COMMANDS, umbel
from umbel.options import call_rules, refused_options, task_rules
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT
from umbel.task import Task

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by scripts/render_reference.py from the code; change it there. -->\n\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(header)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def settings() -> str:
    """Return the page of all settings."""
    rows = [(f"`{s.name}`", f"`{s.default!r}`", f"{s.doc}") for s in KNOWN.values()]
    return (
        "# Settings\n\n" + NOTE + "Set them with `Umbel(..., name=value)`, `app.conf.name = value`, "
        "`app.config_from_object(...)`, or the environment variable `UMBEL_<NAME>`. The command line wins over the "
        "environment, this over code, and code over the default. A setting that does not exist is an error that names the "
        "nearest one. Times are in seconds. `umbel report --all` shows what an app really uses.\n\n"
        + table(("setting", "default", "meaning"), rows)
        + "\n## Celery's settings without effect\n\nTaken with a warning, since what they tune is built otherwise here.\n\n"
        + table(("setting", "because"), ((f"`{name}`", why) for name, why in sorted(WITHOUT_EFFECT.items())))
        + "\n## Celery's settings that are refused\n\nAn error, since tasks would behave otherwise without them.\n\n"
        + table(("setting", "in its place"), ((f"`{name}`", why) for name, why in sorted(REFUSED.items())))
    )


def options() -> str:
    """Return the page of the options of tasks and calls."""

    def default(name: str) -> str:
        return f"`{getattr(Task, name)!r}`" if hasattr(Task, name) and name not in ("name", "bind") else ""

    tasks = [(f"`{name}`", default(name), rule) for name, rule in task_rules().items()]
    calls = [(f"`{name}`", rule) for name, rule in call_rules().items()]
    refused = [(f"`{name}`", where, why) for name, where, why in refused_options()]
    return (
        "# Options of tasks and calls\n\n"
        + NOTE
        + "An option that does not exist, or a value that does not fit, is an "
        "error where it is written: when the task is declared, or at the call.\n\n## `@app.task(...)`\n\n"
        "`None` takes the app's setting where there is one of that name (`task_<option>`).\n\n"
        + table(("option", "default", "takes"), tasks)
        + "\n## `apply_async(args, kwargs, ...)` and `send_task(name, args, kwargs, ...)`\n\n"
        + table(("option", "takes"), calls)
        + "\n## Celery's options that are refused\n\n"
        + table(("option", "of", "the option"), refused)
    )


def command_line() -> str:
    """Return the page of the command line: what each command does and takes."""
    context = click.Context(umbel, info_name="umbel")
    parts = ["# The command line\n\n", NOTE, "`umbel [global options] COMMAND [options]`\n\n", _takes(umbel), "\n"]
    parts.append(table(("command", "does"), ((f"`{name}`", line) for name, (_, line) in COMMANDS.items())))
    for name in COMMANDS:
        command = umbel.get_command(context, name)
        assert command is not None
        parts += [f"\n## umbel {name}{_arguments(command)}\n\n", _about(command), _takes(command)]
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                below = command.get_command(context, child)
                assert below is not None
                parts += [f"\n### umbel {name} {child}{_arguments(below)}\n\n", _about(below), _takes(below)]
    codes = [(str(getattr(exits, name)), text) for name, text in exits.MEANINGS.items()]
    return "".join(parts) + "\n## Exit codes\n\n" + table(("code", "meaning"), codes)


def _about(command: click.Command) -> str:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) + "\n\n"


def _arguments(command: click.Command) -> str:
    found = [str(p.metavar or p.name).upper() for p in command.params if isinstance(p, click.Argument)]
    return "".join(f" {name}" for name in found)


def _value(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "/".join(str(choice) for choice in option.type.choices)
    return {"integer": "N", "float": "SECONDS"}.get(option.type.name.split()[0], option.type.name.upper())


def _takes(command: click.Command) -> str:
    """Return a table of the options, by what click keeps of them: its help text differs from version to version."""
    rows = []
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            value = "" if option.is_flag or "--version" in option.opts else f" {_value(option)}"
            names = ", ".join(f"`{name}{value}`" for name in sorted(option.opts, key=len))
            rows.append((names, (option.help or "").strip()))
    return table(("option", "meaning"), rows) if rows else ""


PAGES = {"settings.md": settings, "options.md": options, "command-line.md": command_line}


def main() -> int:
    """Write or check the pages."""
    stale = []
    for name, render in PAGES.items():
        path, text = FOLDER / name, render()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv:
            stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"{', '.join(stale)} in docs/reference are not current: run scripts/render_reference.py\n")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
