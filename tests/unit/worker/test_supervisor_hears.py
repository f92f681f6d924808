"""What the supervisor makes of what it hears, and when: children that die early, long lists of revoked ids, the end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel.broker.memory import MemoryBroker
from umbel.executors import Shape
from umbel.worker.about import About
from umbel.worker.link import PACKET, Link
from umbel.worker.options import WorkerOptions
from umbel.worker.pulse import Pulse
from umbel.worker.retirement import Bounds
from umbel.worker.seat import Burial, Seat
from umbel.worker.slots import Slots
from umbel.worker.supervisor import Supervisor
from umbel.worker.zygotes import ZygoteHandle


@pytest.fixture
def supervisor() -> Supervisor:
    broker = MemoryBroker(f"memory://{uuid.uuid4()}")
    two = Shape("process", 2, 1)
    about = About()
    return Supervisor(
        WorkerOptions("x"), broker, ZygoteHandle(about), Slots(), (("q", 1),), "w", 60.0, about, two, 5.0, Bounds()
    )


@pytest.fixture
def child(supervisor: Supervisor) -> Iterator[tuple[Seat, Link]]:
    """A seat whose child has been ordered, and the child's end of the link."""
    ours, theirs = Link.pair()
    seat = supervisor._seats[0]
    seat.link = ours
    yield seat, theirs
    seat.vacate()
    theirs.close()


def test_a_child_that_dies_before_its_first_word_was_heard_leaves_its_seat(
    supervisor: Supervisor, child: tuple[Seat, Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a child that said who it is, and died before anybody read that
    seat, theirs = child
    theirs.send({"what": "hello", "pid": 4242})
    theirs.send({"what": "owner", "id": "o"})
    theirs.close()
    buried: list[Burial] = []
    monkeypatch.setattr(supervisor._pulse, "bury", buried.append)
    ends = iter([(4242, 256), (0, 0)])
    monkeypatch.setattr(os, "waitpid", lambda pid, options: next(ends))
    # When the supervisor learns of the death first
    supervisor._deaths()
    # Then the seat is free, and the owner is buried
    assert (seat.pid, seat.link, seat.owner) == (0, None, "")
    assert buried == [Burial("o")]


def test_a_worker_is_ready_once_tasks_can_be_given_to_it_and_commands_are_heard(
    supervisor: Supervisor, child: tuple[Seat, Link]
) -> None:
    seat, theirs = child
    supervisor._pulse.connected = True
    # An owner that is announced is not registered yet: who asks Redis for the workers does not find it
    theirs.send({"what": "hello", "pid": 4242})
    theirs.send({"what": "owner", "id": "o"})
    supervisor._hear(seat)
    assert (seat.owner, supervisor.ready()) == ("o", "no child has started yet")
    theirs.send({"what": "entered"})
    supervisor._hear(seat)
    assert supervisor.ready() == "commands are not heard yet"
    supervisor._listener = supervisor._broker.listen(supervisor._remote.take)
    assert supervisor.ready() is None
    supervisor._listener.stop()
    # And one that was buried is another owner for a moment
    theirs.send({"what": "owner", "id": "p"})
    supervisor._hear(seat)
    assert supervisor.ready() == "no child has started yet"


@pytest.mark.parametrize("length", [36, 250, 1000])
def test_any_number_of_revoked_ids_fits_into_the_packets(
    supervisor: Supervisor, child: tuple[Seat, Link], length: int
) -> None:
    _, theirs = child
    ids = [f"{number:0{length}}" for number in range(6000)]
    heard: list[str] = []
    for _ in range(100):  # a child that does not read for a while gets the rest later
        supervisor.revoke(ids)
        while True:
            something, message = theirs.receive_waiting()
            if not something:
                break
            assert message is not None
            heard.extend(message["ids"])
        if heard == ids:
            break
    assert heard == ids
    # What it knows is not told again.
    supervisor.revoke(ids)
    assert theirs.receive_waiting() == (False, None)


def test_a_command_to_revoke_many_is_cut_too(supervisor: Supervisor, child: tuple[Seat, Link]) -> None:
    _, theirs = child
    supervisor._remote.take(
        {"command": "revoke", "arguments": {"task_id": [f"{number:0100}" for number in range(3000)]}}
    )
    packet = theirs.socket.recv(PACKET * 10)
    assert len(packet) < PACKET


def test_a_burial_that_comes_with_the_end_is_still_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last child's owner is buried, whenever the order to stop comes."""
    broker = MemoryBroker(f"memory://{uuid.uuid4()}")
    buried: list[str] = []
    pulse: Pulse

    def owners() -> list[Any]:
        # Within a turn of the loop, after its burials: the supervisor's last words.
        if not pulse._stopped:
            pulse.bury(Burial("last"))
            pulse.stop()
        return []

    pulse = Pulse(broker, owners, lambda hold: None, lambda ids: None, result_ttl=1.0, queues=["q"], hostname="w")
    monkeypatch.setattr(pulse._liveness, "bury", lambda owner, **how: buried.append(owner))
    pulse.start()
    pulse.join(20.0)
    assert buried == ["last"]


def test_a_child_that_is_still_being_born_does_not_hold_up_the_end(
    supervisor: Supervisor, child: tuple[Seat, Link]
) -> None:
    seat, theirs = child
    supervisor._drain.begun = True
    supervisor._end_of_patience()
    assert (seat.pid, seat.link) == (0, None)
    assert theirs.receive_waiting() == (True, None)
