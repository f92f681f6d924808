"""The command line for an app that is at hand: ``app.start()`` and ``app.worker_main()``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from umbel.cli.main import main
from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app import Umbel


def run(app: Umbel, argv: Sequence[str] | None) -> None:
    """Run the command line as ``umbel -A <the app> argv`` would.

    Raises:
        ImproperlyConfigured: the app stands in no module that other processes could import.
        SystemExit: with the command's exit code.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    sys.argv = ["umbel", "-A", name_of(app), *given]
    main()


def name_of(app: Umbel) -> str:
    """Return where an app stands, as ``-A`` takes it; the folder of a script that runs is put onto the Python path.

    Raises:
        ImproperlyConfigured: it stands in no module.
    """
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{_importable(name)}:{attribute}"
    raise ImproperlyConfigured(
        "this app stands in no module that the worker's processes could import: assign it to a name of a module, app = Umbel(...)"
    )


def _importable(name: str) -> str:
    """Return the name by which other processes import a module: that of its file, for the script that runs."""
    if name != "__main__":
        return name
    script: Any = sys.modules[name]
    if getattr(script, "__spec__", None) is not None:  # python -m package.module
        return str(script.__spec__.name).removesuffix(".__main__")
    file = getattr(script, "__file__", None)
    if file is None:
        raise ImproperlyConfigured(
            "this app was made in an interactive session, which the worker's processes cannot import: put it into a file"
        )
    folder, base = os.path.split(os.path.abspath(file))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    stem, _ = os.path.splitext(base)
    return str(stem)
