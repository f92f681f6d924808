"""Telling children which tasks are revoked: in packets that fit, and each id once."""

from __future__ import annotations

from umbel.worker.link import PACKET
from umbel.worker.seat import Seat


def tell_revoked(seat: Seat, ids: set[str]) -> None:
    """Tell a child those ids that it does not know. What it has no room for now is told the next time."""
    if seat.link is None:
        return
    known = seat.revoked
    packet: list[str] = []
    size = 0
    for task_id in (*(ids - known), None):
        if task_id is None or size + 6 * len(task_id) > PACKET // 2:
            if packet and not seat.link.send({"what": "revoked", "ids": packet}):
                return
            known.update(packet)
            packet, size = [], 0
        if task_id is not None:
            packet.append(task_id)
            size += 6 * len(task_id) + 3  # as JSON writes the worst of them
