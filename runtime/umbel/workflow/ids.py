"""The ids of a workflow's tasks: each tells which workflow it belongs to, and which node of it, without any index.

A workflow's id is twenty hex digits, the first four groups of a UUID version 4; the last group of a task's id is its node.
"""

from __future__ import annotations

import os
import re
from typing import Final

from umbel.digests import blake2b

_FORM: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-(4[0-9a-f]{3})-([89ab][0-9a-f]{3})-([0-9a-f]{12})").fullmatch


def new_workflow_id() -> str:
    """Return the random id of a new workflow."""
    return _shaped(os.urandom(10))


def derived_workflow_id(seed: bytes) -> str:
    """Return the id of the workflow that stands for a seed: the same one each time."""
    return _shaped(blake2b(seed, digest_size=10).digest())


def _shaped(raw: bytes) -> str:
    digits = bytearray(raw)
    digits[6] = (digits[6] & 0x0F) | 0x40
    digits[8] = (digits[8] & 0x3F) | 0x80
    return digits.hex()


def node_id(workflow: str, node: int) -> str:
    """Return the id of the task that is a node of a workflow."""
    return f"{workflow[:8]}-{workflow[8:12]}-{workflow[12:16]}-{workflow[16:]}-{node:012x}"


def split_id(task_id: str) -> tuple[str, int] | None:
    """Return workflow and node that a task's id would mean; None where it cannot mean any.

    Any random id may look like one: whether the workflow exists, only its store can tell.
    """
    found = _FORM(task_id)
    return None if found is None else ("".join(found.groups()[:4]), int(found[5], 16))
