"""Revoke tasks, and the whole of each workflow that one of them belongs to.

First the workflow's store hears of it: nothing follows any more. Then those are told who wait for what will not run. The id of the
workflow, which goes to the workers along with the others, keeps what is queued already from running.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from umbel import failure, states
from umbel.errors import TaskRevokedError
from umbel.record import Record
from umbel.workflow.advancing import end_unrun
from umbel.workflow.base import Workflows

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Exits whose rows are read at a time.
CHUNK: Final = 500


def revoke(app: Umbel, ids: Sequence[str], *, terminate: bool = False) -> int:
    """Revoke tasks and their workflows; return how many workers heard it.

    Raises:
        OperationalError: the broker is away: repeat it all.
        ValueError: more ids than can be remembered.
    """
    return app.broker.revoke(whole(app, ids), terminate=terminate)


def whole(app: Umbel, ids: Sequence[str]) -> list[str]:
    """Let the workflows of tasks go on no more; return the ids to be revoked: theirs too."""
    store = app.broker.workflows
    workflows = dict.fromkeys(workflow for workflow, _ in store.find(ids).values())
    for workflow in workflows:
        end(store, workflow, app.conf.result_ttl)
    return [*ids, *(workflow for workflow in workflows if workflow not in ids)]


def end(store: Workflows, workflow: str, ttl: float) -> None:
    """Let nothing of a workflow follow any more, and tell those who wait for its exits."""
    error = TaskRevokedError("revoked")
    record = Record(states.REVOKED, failure.encode(error), 0, int(time.time() * 1000), {})
    for first, last in store.revoke(workflow) or ():
        for start in range(first, last + 1, CHUNK):
            end_unrun(store, workflow, range(start, min(start + CHUNK, last + 1)), record, ttl)
    store.close(workflow, "r")
