"""Heartbeats and burials on Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from umbel.broker.base import Charge, ConnectionLost, Death, Outcome, OwnerInfo
from umbel.broker.redis import deaths
from umbel.broker.redis.apart import store_record
from umbel.broker.redis.burial import bury_all
from umbel.broker.redis.consumer import store
from umbel.broker.redis.packing import cycle_keys, pack_outcomes
from umbel.record import Record
from umbel.redis import keys, scripts
from umbel.redis.connection import AWAY, Argument, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.redis.runs import record_runs

T = TypeVar("T")


class RedisLiveness:
    """See `umbel.broker.base.Liveness`. All its calls may be repeated, so they are tried again within the deadline."""

    def __init__(self, endpoint: Endpoint, prefix: str, deadline: float = 1.5) -> None:
        self._prefix = prefix
        self._pool = Pool(endpoint, deadline)

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        try:
            return self._pool.run(work, repeat=True)
        except AWAY as error:
            raise ConnectionLost(str(error)) from error

    def beat(self, owners: Iterable[OwnerInfo]) -> list[str]:
        names: list[str] = [keys.beats(self._prefix)]
        arguments: list[Argument] = []
        now = time.time()
        for owner in owners:
            names.append(keys.registry(self._prefix, owner.id))
            # Told as an age, so that neither clock has to be right.
            age = int((now - owner.busy_since) * 1000) if owner.busy_since else -1
            arguments += (owner.id, owner.state, age, owner.running)
        if len(names) == 1:
            return []
        answer = self._run(lambda connection: scripts.beat(connection, names, arguments))
        return [owner.decode() for owner in answer[1:]]

    def scores(self) -> dict[str, float]:
        flat = self._run(lambda connection: connection.call(b"ZRANGE", keys.beats(self._prefix), 0, -1, b"WITHSCORES"))
        return {owner.decode(): float(score) for owner, score in zip(flat[::2], flat[1::2], strict=True)}

    def generation(self) -> str:
        # Of the server that holds the heartbeats: where these come from another, all are watched anew.
        info = self._run(lambda connection: connection.at(keys.beats(self._prefix)).call(b"INFO", b"server"))
        return next(str(line) for line in info.decode().splitlines() if line.startswith("run_id:"))

    def owners(self) -> list[OwnerInfo]:
        scores = self.scores()
        ids = list(scores)
        commands: list[tuple[Argument, ...]] = [(b"HGETALL", keys.registry(self._prefix, owner)) for owner in ids]
        answers = self._run(lambda connection: connection.call_many(commands)) if commands else []
        found = []
        for owner, flat in zip(ids, answers, strict=True):
            if flat:
                found.append(_owner(owner, _pairs(flat), scores[owner] / 1000.0))
        return found

    def dying(self) -> list[str]:
        members = self._run(lambda connection: connection.call(b"SMEMBERS", keys.dying(self._prefix)))
        return sorted(member.decode() for member in members)

    def held(self, owner: str) -> dict[str, dict[int, bytes]]:
        def read(connection: RedisConnection) -> dict[str, dict[int, bytes]]:
            held: dict[str, dict[int, bytes]] = {}
            for queue in _queues(connection, self._prefix, owner):
                pairs = _pairs(connection.call(b"HGETALL", keys.owned(self._prefix, queue, owner)))
                held[queue] = {int(tag): message for tag, message in pairs.items() if tag != "@"}
            return held

        return self._run(read)

    def bury(
        self,
        owner: str,
        *,
        seen: float | None = None,
        charge: Charge = Charge.NONE,
        guilty: int | None = None,
        suspects: Sequence[int] = (),
    ) -> int | None:
        def work(connection: RedisConnection) -> int | None:
            begun = scripts.bury_begin(
                connection,
                (keys.beats(self._prefix), keys.dying(self._prefix), keys.registry(self._prefix, owner)),
                (owner, "" if seen is None else repr(seen)),
            )
            if begun != 1:
                return None
            queues = _queues(connection, self._prefix, owner)
            return bury_all(connection, self._prefix, owner, queues, charge, guilty, suspects)

        return self._run(work)

    def note_death(self, death: Death, charged: Mapping[str, Sequence[bytes]]) -> None:
        def work(connection: RedisConnection) -> None:
            seconds, microseconds = connection.call(b"TIME")
            dated = replace(death, at=round(int(seconds) + int(microseconds) / 1e6, 3))
            for queue, payloads in charged.items():
                deaths.note(connection, self._prefix, queue, dated, payloads)

        self._run(work)

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        return self._run(lambda connection: store(connection, self._prefix, task_id, record, ttl, reply_to))

    def sentence(self, owner: str, queue: str, tag: int, flag: int) -> bool:
        names = (keys.owned(self._prefix, queue, owner),)
        return bool(self._run(lambda connection: scripts.sentence(connection, names, (tag, flag))) == 1)

    def settle(self, owner: str, queue: str, outcome: Outcome) -> bool:
        fixed = cycle_keys(self._prefix, queue, owner)

        def work(connection: RedisConnection) -> bool:
            if outcome.run is not None:
                record_runs(connection, self._prefix, [outcome.run])
            told = outcome
            if connection.clustered and outcome.record is not None:
                # Whoever else ends this delivery has stored its own end: a look first, so that this one does not replace it.
                if connection.call(b"HGET", fixed[0], outcome.tag) is None:
                    return False
                store_record(connection, self._prefix, outcome)
                told = replace(outcome, record=None)
            count, names, arguments = pack_outcomes(self._prefix, queue, owner, [told], any_place=True)
            answer = scripts.cycle(connection, (*fixed, *names), (0, count, *arguments))
            return bool(answer[0] == b"ok" and not answer[7])

        return self._run(work)

    def close(self) -> None:
        self._pool.close()


def _queues(connection: RedisConnection, prefix: str, owner: str) -> list[str]:
    stored = connection.call(b"HGET", keys.registry(prefix, owner), b"queues")
    return list(orjson.loads(stored)) if stored else []


def _pairs(flat: list[bytes]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _owner(owner: str, fields: dict[str, bytes], last_beat: float) -> OwnerInfo:
    def text(name: str) -> str:
        return fields.get(name, b"").decode()

    return OwnerInfo(
        owner,
        list(orjson.loads(fields.get("consumed") or fields.get("queues", b"[]"))),
        text("worker"),
        text("hostname"),
        int(text("pid") or 0),
        text("machine"),
        text("pool"),
        text("pod_uid"),
        text("state"),
        float(text("busy_since") or 0) / 1000.0,
        last_beat,
        int(text("slots") or 1),
        int(text("busy") or 0),
    )
