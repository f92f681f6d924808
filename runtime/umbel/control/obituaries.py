"""Notes of who died with which messages, for the story that a dead letter tells. Written by whoever buries, just before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from umbel.broker.base import Charge, ConnectionLost, Death, Liveness, OwnerInfo
from umbel.errors import UmbelError

log = logging.getLogger("umbel.reaper")

Held = Mapping[str, Mapping[int, bytes]]


def charged(held: Held, charge: Charge, guilty: int | None, suspects: Sequence[int] = ()) -> dict[str, list[bytes]]:
    """Return the messages that a burial charges, by queue. Pure.

    Args:
        held: what the dead owner held: queue, tag, message.
        charge, guilty, suspects: see `Liveness.bury`.
    """
    if charge not in (Charge.LOST, Charge.SUSPECT):
        return {}
    found = {
        queue: [payload for tag, payload in messages.items() if _is_charged(tag, charge, guilty, suspects)]
        for queue, messages in held.items()
    }
    return {queue: payloads for queue, payloads in found.items() if payloads}


def note(liveness: Liveness, owner: OwnerInfo, messages: Mapping[str, list[bytes]], charge: Charge, cause: str) -> None:
    """Note a death. A note that cannot be written is left out: the charges in the messages are what counts.

    Args:
        owner: who died.
        messages: that were charged for it, by queue.
        charge: with what.
        cause: a sentence.
    """
    if not messages:
        return
    death = Death(owner.id, owner.worker, owner.hostname, owner.pid, owner.pod_uid, owner.pool, charge.value, cause)
    try:
        liveness.note_death(death, messages)
    except (ConnectionLost, UmbelError) as error:
        log.warning("death.unnoted", extra={"owner": owner.id, "error": str(error)})


def _is_charged(tag: int, charge: Charge, guilty: int | None, suspects: Sequence[int]) -> bool:
    if charge is Charge.SUSPECT:
        return not suspects or tag in suspects
    return tag == guilty
