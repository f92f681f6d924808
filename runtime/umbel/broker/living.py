"""The liveness side of a broker: who lives, and what becomes of what the dead held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from umbel.broker.data import Charge, Death, Outcome, OwnerInfo
from umbel.record import Record


class Liveness(Protocol):
    """Heartbeats and burials. One connection, one thread."""

    def beat(self, owners: Iterable[OwnerInfo]) -> list[str]:
        """Renew the owners' heartbeat and figures in one call; return the ids that are gone."""

    def scores(self) -> dict[str, float]:
        """Return owner -> last heartbeat. Compare for change only, never with a clock."""

    def generation(self) -> str:
        """Return an id that changes when the server restarted or another one answers."""

    def owners(self) -> list[OwnerInfo]:
        """Return all registered owners."""

    def dying(self) -> list[str]:
        """Return the owners whose burial was begun and not ended."""

    def held(self, owner: str) -> dict[str, dict[int, bytes]]:
        """Return what an owner holds: queue -> tag -> payload."""

    def bury(
        self,
        owner: str,
        *,
        seen: float | None = None,
        charge: Charge = Charge.NONE,
        guilty: int | None = None,
        suspects: Sequence[int] = (),
    ) -> int | None:
        """Fence the owner and move its messages back to the front of their queues.

        Args:
            owner: id.
            seen: its score as last seen: the burial does not begin if it changed; None for one's own dead child.
            charge: see `Charge`.
            guilty: the tag to charge with LOST.
            suspects: the tags to charge with SUSPECT; all of them where none is named.

        Returns: how many messages went back; None if the owner turned out to be alive. Safe to repeat, by anyone.
        """

    def note_death(self, death: Death, charged: Mapping[str, Sequence[bytes]]) -> None:
        """Note who died with which messages: just before the burial that charges them; safe to repeat.

        Args:
            death: who; ``at`` is filled in.
            charged: the messages, by queue.
        """

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record in the stead of an owner that is dead; see `Consumer.store`."""

    def sentence(self, owner: str, queue: str, tag: int, flag: int) -> bool:
        """Mark a message that a dead owner holds with a flag; False if it does not hold it any more. Before the burial."""

    def settle(self, owner: str, queue: str, outcome: Outcome) -> bool:
        """Write one outcome in the owner's stead (a time limit, a revoke with terminate); False if it was not its own any more."""

    def close(self) -> None: ...
