"""Whether a delivery may run now: the limits of its task, and whether another one has replaced it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from umbel.broker.base import Delivery
from umbel.broker.tickets import Admission, Ticket
from umbel.limits import Limits, lock_of
from umbel.message import REPLACEABLE, WOKEN, Message

if TYPE_CHECKING:
    from umbel.verdict import Execution


class Asker(Protocol):
    """What the gate asks of the child."""

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission: ...


def has_gate(message: Message, limits: Limits | None, ended: Execution | None) -> bool:
    """Return whether a delivery has to ask. Pure.

    What is not to run (revoked, say) need not, unless it was let out to take a place: then it takes that, and its end wakes
    the next one.
    """
    asks = limits is not None or bool(message.flags & REPLACEABLE)
    return asks and (ended is None or bool(message.flags & WOKEN))


def ask(message: Message, limits: Limits | None, delivery: Delivery, child: Asker) -> tuple[Admission, bool]:
    """Return what became of a delivery, and whether it has a place now.

    Raises:
        Exception: of the function that makes the key.
    """
    ticket = limits.ticket(message) if limits is not None else lock_of(message)
    if ticket is None:
        return Admission.GO, False
    admission = child.admit(delivery, ticket)
    return admission, admission is Admission.GO and ticket.place is not None
