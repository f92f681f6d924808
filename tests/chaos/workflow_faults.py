"""The app of `tests.workflow_app`, whose worker dies, or freezes, at one step of advancing a workflow.

``FAULT_AT`` says where (``end:before``, ``publish:after``, …; ``end:over`` is once a workflow is over), ``FAULT_FOLDER`` where each
fault leaves a file, and ``FAULT_TIMES`` how many there are at the most; ``FAULT_SIGNAL`` is what the process sends itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.workflow_app import app

from umbel.workflow.redis import RedisWorkflows

__all__ = ["app"]

_NAME, _, _WHEN = os.environ.get("FAULT_AT", "").partition(":")


def _fault() -> None:
    folder = Path(os.environ["FAULT_FOLDER"])
    for number in range(int(os.environ.get("FAULT_TIMES", "1"))):
        try:
            (folder / f"fault-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), getattr(signal, os.environ.get("FAULT_SIGNAL", "SIGKILL")))
        return


def _faulty(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if _WHEN == "before":
            _fault()
        answer = method(*args, **kwargs)
        if _WHEN == "after" or (_WHEN == "over" and answer is not None and answer.over):
            _fault()
        return answer

    return call


if _NAME:
    setattr(RedisWorkflows, _NAME, _faulty(getattr(RedisWorkflows, _NAME)))
