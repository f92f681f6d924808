"""What is left after the storm: in Redis, of the results and dead letters, and of what the processes hold."""

from __future__ import annotations

import json

from tests.chaos.storm.fleet import Fleet
from tests.chaos.storm.memory import size_of
from tests.conformance.leaks import find_leaks

from umbel import Umbel, record
from umbel.errors import DecodeError
from umbel.message import decode
from umbel.redis import keys

#: Results that are read in one call.
CHUNK = 1000
#: What a supervisor may have gained beyond what it was when it was ready.
MORE_DESCRIPTORS = 3
MORE_MEBIBYTES = 12.0


def dead_letters(app: Umbel) -> dict[str, str]:
    """Return task id -> reason, of all queues."""
    found = {}
    for queue in app.broker.queues():
        offset = 0
        while letters := app.broker.dead(queue, limit=CHUNK, offset=offset):
            offset += len(letters)
            for letter in letters:
                found[str(decode(letter.payload).headers["id"])] = str(letter.reason.get("reason"))
    return found


def stored_states(fleet: Fleet, task_ids: set[str]) -> dict[str, str]:
    """Return task id -> state, of those that have a stored result."""
    wanted = sorted(task_ids)
    found = {}
    with fleet.redis.client() as client:
        for start in range(0, len(wanted), CHUNK):
            some = wanted[start : start + CHUNK]
            raw = client.mget([keys.result(fleet.prefix, task_id) for task_id in some])
            for task_id, value in zip(some, raw, strict=True):
                try:
                    if value is not None:
                        found[task_id] = record.decode(value).state
                except DecodeError as error:
                    found[task_id] = f"unreadable: {error}"
    return found


def grown(fleet: Fleet) -> tuple[list[str], list[str]]:
    """Return how the supervisors have grown since they were ready, and what is wrong with that."""
    told, wrong = [], []
    for place in fleet.places:
        if place.start is None:
            continue
        now = size_of(place.worker.pid)
        sentence = (
            f"{place.worker.hostname}: {place.start.mebibytes:.1f} -> {now.mebibytes:.1f} MiB, "
            f"{place.start.descriptors} -> {now.descriptors} descriptors"
        )
        told.append(sentence)
        more = now.mebibytes - place.start.mebibytes
        if now.descriptors - place.start.descriptors > MORE_DESCRIPTORS or more > MORE_MEBIBYTES:
            wrong.append(f"a supervisor has grown: {sentence}")
    return told, wrong


def left_in_redis(fleet: Fleet, app: Umbel) -> list[str]:
    """Return what nobody will ever delete, and owners that nobody buried, after all workers have ended."""
    liveness = app.broker.liveness()
    wrong = [f"the owner {owner} was left" for owner in {*liveness.scores(), *liveness.dying()}]
    liveness.close()
    with fleet.redis.client() as client:
        for key in client.scan_iter(f"{fleet.prefix}:*:runs", count=1000):
            for run, note in client.hgetall(key).items():
                queue = json.loads(b"{" + note + b"}")["queue"]
                # One that was noted and never sent, since beat was killed in between, is forgotten by the next in a minute.
                if client.exists(keys.run(fleet.prefix, queue, run.decode())):
                    wrong.append(f"the run {run.decode()} of a schedule was sent and never ended: {note.decode()}")
        return wrong + find_leaks(client, fleet.prefix, app.broker)
