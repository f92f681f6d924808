"""The in-memory broker itself: publishing, settings, and the way to its other sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from umbel.broker.base import (
    DeadLetter,
    DelayedMessage,
    Delivery,
    Outcome,
    Outgoing,
    OwnerInfo,
    PostMortem,
    QueueInfo,
    check_count,
)
from umbel.broker.memory.bell import MemoryBell
from umbel.broker.memory.consumer import MemoryConsumer
from umbel.broker.memory.liveness import MemoryLiveness
from umbel.broker.memory.ownqueues import MemoryOwnQueues
from umbel.clock import SYSTEM_CLOCK, Clock, full_milliseconds
from umbel.errors import QueueClosed, QueueFull
from umbel.memory import head
from umbel.memory import outcomes as memory_outcomes
from umbel.memory.claims import Claims
from umbel.memory.commands import MemoryAnswers, MemoryListener
from umbel.memory.queue import MemoryQueue, Settings
from umbel.memory.store import open_store
from umbel.message import PURGED, nonce_of
from umbel.workflow.memory import MemoryWorkflows


class MemoryBroker:
    """A broker in the memory of this process; see `umbel.broker.base.Broker`.

    Args:
        url: ``memory://<name>``: all brokers and result backends of one name share one store.
        prefix: the key prefix; different prefixes share nothing.
        clock: tells when delayed messages are due and dead letters too old.
    """

    def __init__(self, url: str = "memory://", *, prefix: str = "umbel", clock: Clock = SYSTEM_CLOCK) -> None:
        self.url = url
        self.prefix = prefix
        self._store = open_store(url, prefix)
        self._clock = clock
        self.workflows = MemoryWorkflows(self._store, clock)
        self.own_queues = MemoryOwnQueues(self._store, clock)

    def publish(self, queue: str, messages: Sequence[Outgoing]) -> list[Delivery]:
        now = self._clock.time()
        now_ms = int(now * 1000)
        with self._store.locked() as store:
            state = store.queue(queue)
            if not state.settings.intake_open:
                raise QueueClosed(f"queue {queue!r} takes no new tasks: its intake is Reject; set it to Accept")
            claims = Claims(state, messages, now)
            messages = claims.granted
            try:
                dropped, skip = state.make_room(len(messages))
            except QueueFull as error:
                raise QueueFull(str(error), tuple(message.task_id for message in messages)) from None
            soonest = False
            for index, message in enumerate(messages):
                payload = head.stamp(message.payload, now_ms)
                if index >= skip:
                    claims.take(message, payload)
                if index < skip:
                    dropped.append(payload)
                elif message.delay > 0:
                    soonest |= state.delay(payload, full_milliseconds(now + message.delay))
                else:
                    state.put_back(payload)
            if soonest:
                store.bells.ring(queue)
            else:
                store.ring_if_takeable(state)
            return state.keep_dropped(dropped)

    def dropped(self, queue: str) -> list[Delivery]:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            held = {} if state is None else state.dropped.messages
            return [Delivery(queue, tag, payload) for tag, payload in held.items()]

    def settle_dropped(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        with self._store.locked() as store:
            state = store.queue(queue)
            memory_outcomes.apply(store, state, state.dropped, outcomes, self._clock.time())
            store.ring_if_takeable(state)

    def consumer(self, owner: OwnerInfo) -> MemoryConsumer:
        return MemoryConsumer(self._store, owner, self._clock)

    def bell(self) -> MemoryBell:
        return MemoryBell(self._store)

    def liveness(self) -> MemoryLiveness:
        return MemoryLiveness(self._store, self._clock)

    def queues(self) -> list[str]:
        with self._store.locked() as store:
            return sorted(store.queues)

    def info(self, queue: str) -> QueueInfo:
        with self._store.locked() as store:
            return (store.queues.get(queue) or MemoryQueue(queue)).info(self._clock.time())

    def configure(self, queue: str, settings: dict[str, Any], serial: int) -> bool:
        with self._store.locked() as store:
            state = store.queue(queue)
            if state.settings.serial > serial:
                return False
            state.settings = Settings.read(state.settings.given | settings, serial)
            store.ring_if_takeable(state)
            return True

    def settings(self, queue: str) -> dict[str, Any]:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            return {"serial": -1} if state is None else state.settings.given | {"serial": state.settings.serial}

    def promote(self, queue: str) -> float | None:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            if state is None:
                return None
            while (next_due := state.promote(int(self._clock.time() * 1000))) == 0.0:
                pass
            store.ring_if_takeable(state)
            return next_due

    def wake_parked(self, queue: str) -> int:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            woken = [] if state is None else state.places.stranded()
            if state is not None and woken:
                state.put_front(woken)
                store.ring_if_takeable(state)
            return len(woken)

    def purge(self, queue: str) -> int:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            return 0 if state is None else state.purge()

    def set_aside(self, queue: str, most: int) -> list[Delivery]:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            taken = [] if state is None else state.take_waiting(most)
            return [] if state is None else state.keep_dropped(head.flag(payload, PURGED) for payload in taken)

    def dead(
        self,
        queue: str,
        limit: int = 100,
        offset: int = 0,
        *,
        since: float | None = None,
        before: float | None = None,
    ) -> list[DeadLetter]:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            return [] if state is None else state.dead(limit, offset, since, before)

    def retry_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        now_ms = int(self._clock.time() * 1000)
        with self._store.locked() as store:
            state = store.queue(queue)
            if not state.settings.intake_open:
                raise QueueClosed(f"queue {queue!r} takes no tasks: its intake is Reject; set it to Accept")
            taken = state.take_dead(letters)
            for letter in taken:
                task_id = head.task_id(letter.payload)
                if task_id is not None:
                    store.records.forget(task_id)
                state.put_back(head.renew(letter.payload, now_ms))
            store.ring_if_takeable(state)
            return len(taken)

    def drop_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        with self._store.locked() as store:
            return len(store.queue(queue).take_dead(letters))

    def trim_dead(self, queue: str) -> int:
        with self._store.locked() as store:
            return store.queue(queue).trim_dead(self._clock.time())

    def delayed(self, queue: str, limit: int = 100) -> list[DelayedMessage]:
        now_ms = self._clock.time() * 1000
        with self._store.locked() as store:
            state = store.queues.get(queue)
            waiting = [] if state is None else state.delayed(limit)
        return [DelayedMessage((due_ms - now_ms) / 1000, payload) for due_ms, payload in waiting]

    def post_mortem(self, queue: str, payload: bytes) -> PostMortem:
        nonce = nonce_of(payload)
        with self._store.locked() as store:
            state = store.queue(queue)
            found = {death.owner: death for death, nonces in state.deaths if nonce in nonces}
            return PostMortem(list(found.values()), state.settings.forward)

    def forward(self, queue: str, payload: bytes, original: bytes) -> bool:
        with self._store.locked() as store:
            state = store.queue(queue)
            mark = nonce_of(original) or b""
            if mark in state.forwarded:
                return True
            if not state.settings.intake_open:
                return False
            state.forwarded.add(mark)
            state.put_back(head.stamp(payload, int(self._clock.time() * 1000)))
            store.ring_if_takeable(state)
            return True

    def revoke(self, task_ids: Sequence[str], *, terminate: bool = False) -> int:
        check_count(task_ids)
        with self._store.locked() as store:
            store.revoke(list(task_ids), self._clock.time())
        return self.control({"command": "revoke", "arguments": {"task_id": list(task_ids), "terminate": terminate}})

    def revoked(self) -> set[str]:
        return set(self.revocations())

    def revocations(self, since: float = 0.0) -> dict[str, float]:
        with self._store.locked() as store:
            return {task: when for task, when in store.revoked(self._clock.time()).items() if when >= since}

    def control(self, command: dict[str, Any]) -> int:
        return self._store.commands.send(command)

    def listen(self, handle: Callable[[dict[str, Any]], None]) -> MemoryListener:
        return self._store.commands.listen(handle)

    def time(self) -> float:
        return self._clock.time()

    def answers(self) -> MemoryAnswers:
        return self._store.commands.answers()

    def answer(self, address: str, answer: dict[str, Any]) -> bool:
        return self._store.commands.answer(address, answer)

    def ping(self) -> dict[str, Any]:
        return {"version": "memory", "maxmemory_policy": "noeviction", "run_id": self._store.generation}

    def close(self) -> None:
        """Nothing to drop: the store stays for the others of its name."""
