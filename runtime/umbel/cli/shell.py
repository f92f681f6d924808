"""``umbel shell``: Python with the app at hand."""

from __future__ import annotations

import code
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import click

from umbel.cli.exits import USAGE, Fail
from umbel.cli.foreign import SHELL_REFUSED, refused
from umbel.cli.session import Session, pass_session


@click.command()
@click.option("-I", "--ipython", "kind", flag_value="IPython", help="Use IPython.")
@click.option("-B", "--bpython", "kind", flag_value="bpython", help="Use bpython.")
@click.option("-P", "--python", "kind", flag_value="python", help="Use Python's own shell.")
@click.option("-T", "--without-tasks", is_flag=True, help="Do not put the tasks among the names.")
@click.option("-c", "--command", metavar="CODE", help="Run this, and end.")
@refused(SHELL_REFUSED)
@pass_session
def shell(session: Session, kind: str | None, without_tasks: bool, command: str | None) -> None:
    """Start Python with the app, its tasks and what one needs to call them.

    Of the shells that are installed it takes IPython, else bpython, else Python's own. Tasks have the last part of their name,
    unless two have the same one or it is taken.

    \b
    Examples:
      umbel -A shop.tasks shell
      umbel -A shop.tasks shell -c 'print(add.delay(2, 3).get(timeout=10))'
    """
    session.require_app("shell")
    session.app.import_modules()
    names = _names(session.app, with_tasks=not without_tasks)
    if command is not None:
        exec(compile(command, "<umbel shell -c>", "exec"), names)  # what the user typed
        return
    start = _shells()[_chosen(kind)]
    start(names, f"umbel shell: app, {', '.join(name for name in sorted(names) if name != 'app')}")


def _names(app: Any, *, with_tasks: bool) -> dict[str, Any]:
    umbel = importlib.import_module("umbel")
    wanted = (
        "chain",
        "chord",
        "chunks",
        "group",
        "signature",
        "xmap",
        "xstarmap",
        "AsyncResult",
        "ResultSet",
        "crontab",
    )
    names = {name: getattr(umbel, name) for name in wanted if hasattr(umbel, name)} | {"app": app, "umbel": umbel}
    if with_tasks:
        lasts = [name.rpartition(".")[2] for name in app.tasks]
        for name, task in app.tasks.items():
            last = name.rpartition(".")[2]
            if last.isidentifier() and last not in names and lasts.count(last) == 1 and not name.startswith("umbel."):
                names[last] = task
    return names


def _shells() -> dict[str, Callable[[dict[str, Any], str], None]]:
    def ipython(names: dict[str, Any], banner: str) -> None:
        importlib.import_module("IPython").embed(user_ns=names, banner1=banner, colors="neutral")

    def bpython(names: dict[str, Any], banner: str) -> None:
        importlib.import_module("bpython").embed(names, banner=banner)

    def python(names: dict[str, Any], banner: str) -> None:
        code.interact(banner, local=names, exitmsg="")

    return {"IPython": ipython, "bpython": bpython, "python": python}


def _chosen(kind: str | None) -> str:
    """Return the shell to start.

    Raises:
        Fail: the one that was asked for is not installed.
    """
    if kind in ("IPython", "bpython") and importlib.util.find_spec(kind) is None:
        raise Fail(f"{kind} is not installed: pip install {kind.lower()}, or use --python", USAGE)
    installed = (name for name in ("IPython", "bpython") if importlib.util.find_spec(name) is not None)
    return kind or next(installed, "python")
