"""What the rest of Umbel asks of the store of workflows. One conformance suite (tests/conformance) holds every adapter to it.

Each call may be repeated, by whoever, after the one before it died: that is how a step survives the death of who makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from umbel.broker.data import Outgoing
from umbel.workflow.graph import Graph

#: How a node ended: S succeeded, F failed, R revoked or expired, I ended without a result (`Ignore`).
SUCCEEDED: Final = "S"
FAILED: Final = "F"
REVOKED: Final = "R"
IGNORED: Final = "I"


@dataclass(slots=True)
class Ending:
    """The end of a node.

    Args:
        node: its number.
        kind: how it ended.
        value: what it returned, encoded; of any other end what is to be known of it.
        place: (join, index) of a member without a row.
        ended_ms: when, in milliseconds since the Unix epoch.
        runtime_ms: how long it ran.
    """

    node: int
    kind: str
    value: bytes = b""
    place: tuple[int, int] | None = None
    ended_ms: int = 0
    runtime_ms: int = 0


@dataclass(slots=True)
class Due:
    """Nodes in a row whose turn it is.

    ``how``: "v" gets the value of the node that ended, "j" the list of its join, "e" is an errback of the node that ended,
    "e<n>" one of node n, the body of a join that failed.
    """

    first: int
    last: int
    how: str


@dataclass(slots=True)
class Step:
    """What follows from the end of a node.

    Args:
        kind: how the node ended: the first end counts.
        value: of that end.
        over: nothing runs or waits any more: to be told to `Workflows.close` when all else is done.
        due: whose turn it is.
        told: exits that will not run, and whether the failure came through a join: those who wait for them are to be told.
        ttl: milliseconds that the keys live on.
    """

    kind: str
    value: bytes
    over: bool
    due: list[Due] = field(default_factory=list)
    told: list[tuple[int, int, bool]] = field(default_factory=list)
    ttl: int = 0


@dataclass(slots=True)
class Snapshot:
    """A workflow as it stands: the fields of its graph (without values), and of its states."""

    graph: dict[str, bytes]
    states: dict[str, str]
    filled: set[tuple[int, int]]


@dataclass(slots=True)
class Gathered:
    """What is in the places of a join, in order; and how it lies in the list that the targets get, as the graph has it."""

    places: list[bytes | None]
    nested: bytes | None = None


class Workflows(Protocol):
    """A store of workflows. Thread-safe."""

    def create(self, graph: Graph, *, ttl: float, keep: float) -> bool:
        """Store a graph; False if it is there already.

        Args:
            graph: to be stored.
            ttl: seconds that it outlives its last step.
            keep: seconds that it can be looked at after its end.
        """

    def end(self, workflow: str, ending: Ending) -> Step | None:
        """Note the end of a node, and return what follows; None if the workflow is gone."""

    def publish(self, workflow: str, queue: str, ttl: float, messages: Sequence[tuple[int, Outgoing]]) -> None:
        """Publish nodes, each of them once, however often this is called.

        Args:
            workflow: its id.
            queue: that they go to.
            ttl: seconds that is remembered what was published.
            messages: of each node its number and its message.

        Raises:
            QueueClosed: the queue's intake is closed.
            OperationalError: the broker is away.
        """

    def close(self, workflow: str, told: str = "") -> None:
        """Delete a workflow that is over, but what can be looked at for a while; nothing if it is not over.

        Args:
            workflow: its id.
            told: those were told who had to be, by this step: the number of its node, or "r" of a revocation.
        """

    def drop(self, workflow: str) -> None:
        """Delete a workflow whose entries could not be published."""

    def rows(self, workflow: str, nodes: Sequence[int]) -> list[bytes | None]:
        """Return the rows of nodes."""

    def values(self, workflow: str, join: int) -> Gathered | None:
        """Return what is in the places of a join; None if the workflow is gone."""

    def failure(self, workflow: str, node: int) -> bytes | None:
        """Return what was noted of the end of a node that failed."""

    def grow(self, workflow: str, join: int, token: str) -> tuple[int, int] | None:
        """Add a place to a join and a node to fill it; return node and place, None if the join waits for nothing any more.

        Args:
            workflow: its id.
            join: its number.
            token: names this addition: the same one gets the same place.
        """

    def revoke(self, workflow: str) -> list[tuple[int, int]] | None:
        """Let nothing of a workflow follow any more; return its exits that have not ended, None if it is gone."""

    def find(self, task_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return workflow and node of each of these tasks that belongs to a workflow which is there."""

    def look(self, workflow: str) -> Snapshot | None:
        """Return a workflow as it stands, None if it is gone."""

    def tell(self, task_id: str, record: bytes, ttl: float, reply_to: str | None) -> bool:
        """Store the record of a task that did not run and tell who waits; False if it has ended."""


def places(about: dict[str, Any]) -> list[tuple[int, int, int, int, str]]:
    """Return the members without rows of what a graph says about itself: first, count, join, place, task."""
    return [(int(a), int(b), int(c), int(d), str(e)) for a, b, c, d, e in about.get("members", ())]
