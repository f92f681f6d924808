"""Why a measurement could not be taken."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A peer, or the harness itself, could not do what was asked. The message says what and what to do."""
