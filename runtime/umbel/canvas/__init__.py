"""Workflows: signatures, and what chains, groups and chords make of them.

Nothing of it is imported by ``import umbel``: only by who uses it.
"""

from __future__ import annotations

from umbel.canvas.signature import Signature, as_signature, signature  # isort: skip - all others are made of it
from umbel.canvas.builtin import builtin_task
from umbel.canvas.calling import call, send
from umbel.canvas.chains import chain
from umbel.canvas.chords import chord
from umbel.canvas.completing import completed
from umbel.canvas.eager import apply, callbacks, errbacks
from umbel.canvas.groups import group
from umbel.canvas.maps import chunks, xmap, xstarmap
from umbel.canvas.pipe import fold, pipe
from umbel.canvas.replacing import Replaced, add_to_chord, replaced_by
from umbel.canvas.stamping import StampingVisitor, stamp

maybe_signature = maybe_subtask = as_signature
subtask = signature

__all__ = [
    "Replaced",
    "Signature",
    "StampingVisitor",
    "add_to_chord",
    "apply",
    "builtin_task",
    "call",
    "callbacks",
    "chain",
    "chord",
    "chunks",
    "completed",
    "errbacks",
    "fold",
    "group",
    "maybe_signature",
    "maybe_subtask",
    "pipe",
    "replaced_by",
    "send",
    "signature",
    "stamp",
    "subtask",
    "xmap",
    "xstarmap",
]
