"""``import umbel`` loads no more than producers need: web processes and scripts import it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "asyncio",
    "redis",
    "hiredis",
    "click",
    "rich",
    "umbel.cli",
    "umbel.worker",
    "umbel.beat",
    "umbel.canvas",
    "umbel.schedules",
    "http",
)


def _loaded(program: str) -> set[str]:
    text = subprocess.check_output([sys.executable, "-c", program + "; import sys; print(*sys.modules)"], text=True)
    return set(text.split())


def test_importing_umbel_loads_nothing_heavy() -> None:
    assert not _loaded("import umbel; umbel.Umbel('x', broker='redis://localhost')").intersection(HEAVY)


def test_what_is_exported_is_there() -> None:
    import umbel

    for name in umbel.__all__:
        assert getattr(umbel, name) is not None


def test_help_imports_no_command() -> None:
    loaded = _loaded(
        "from umbel.cli.main import umbel, Commands; import click\n"
        "ctx = umbel.make_context('umbel', ['status'])\n"
        "text = umbel.get_help(ctx)\n"
        "assert 'Start a worker' in text and 'dead letters' in text"
    )
    assert not {name for name in loaded if name in ("redis", "rich", "umbel.cli.worker", "umbel.cli.inspect")}
