"""What the scaler sees of the pools: their workers, and the load that waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from umbel.beat.definitions import PoolDefinition
from umbel.broker.base import OwnerInfo, QueueInfo


@dataclass(slots=True)
class _Seen:
    workers: set[str] = field(default_factory=set)
    draining: set[str] = field(default_factory=set)
    slots: int = 0
    busy: int = 0
    held: int = 0
    pods: dict[str, bool] = field(default_factory=dict)  #: pod uid -> is idle and not draining
    free: dict[str, bool] = field(default_factory=dict)  #: pod uid -> holds no task and is not draining


def pool_states(
    pools: Mapping[str, PoolDefinition],
    queues: Mapping[str, QueueInfo],
    due_soon: Mapping[tuple[str, float], int],
    owners: list[OwnerInfo],
    held: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """Return the object of each pool, as ``/v1/status`` shows it.

    Load = ready (0 where the queue is held) + delayed ones that fall due soon + in flight on workers that do not drain;
    pools that share a queue share what waits in it by their slots.

    `freePods` hold no task now. `idlePods` are those of them that say so themselves, with a heartbeat that may be two seconds old:
    one that is free and not idle has just ended something, or runs a task that it acknowledged before.

    Args:
        pools: as defined.
        queues: snapshots by name.
        due_soon: delayed messages that fall due within the lead of a start, by queue and lead.
        owners: all that are registered; those of pools that are not defined count too.
        held: how many messages each owner holds.
    """
    seen = _by_pool(owners, held)
    sharing: dict[str, int] = {}
    for pool in pools.values():
        for name in pool.queues:
            sharing[name] = sharing.get(name, 0) + pool.slots
    states = {}
    for name in sorted({*pools, *seen}):
        there = seen.get(name, _Seen())
        load = float(there.held)
        definition = pools.get(name)
        if definition is not None:
            for queue in definition.queues:
                load += (
                    _waiting(queues.get(queue), due_soon.get((queue, definition.lead), 0))
                    * definition.slots
                    / sharing[queue]
                )
        states[name] = {
            "workers": len(there.workers),
            "slots": there.slots,
            "busy": there.busy,
            "draining": len(there.draining),
            "idlePods": sorted(uid for uid, idle in there.pods.items() if uid and idle),
            "freePods": sorted(uid for uid, free in there.free.items() if uid and free),
            "load": int(-(-load // 1)),
        }
    return states


def _waiting(info: QueueInfo | None, due_soon: int) -> int:
    return due_soon + (info.ready if info is not None and not info.held else 0)


def _by_pool(owners: list[OwnerInfo], held: Mapping[str, int]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for owner in owners:
        if not owner.pool:
            continue
        pool = seen.setdefault(owner.pool, _Seen())
        worker, draining = owner.worker or owner.id, owner.state == "draining"
        busy = min(owner.slots, max(owner.running, held.get(owner.id, 0)))
        pool.workers.add(worker)
        if draining:
            pool.draining.add(worker)
        else:
            pool.slots += owner.slots
            pool.busy += busy
            pool.held += held.get(owner.id, 0)
        holds = held.get(owner.id, 0) > 0
        pool.free[owner.pod_uid] = pool.free.get(owner.pod_uid, True) and not holds and not draining
        pool.pods[owner.pod_uid] = pool.pods.get(owner.pod_uid, True) and not busy and not draining
    return seen
