"""Warns of another worker of the same name: what is meant for one of them would reach both, or whichever is quicker."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from umbel.broker.base import Broker, ConnectionLost, OwnerInfo
from umbel.ids import machine_id
from umbel.worker.stopped import state_of

log = logging.getLogger("umbel.worker")


def warn_of_namesakes(broker: Broker, hostname: str) -> None:
    """Look once, at the start, who else is called so. In pods nobody is, but an earlier container of the same pod."""
    if os.environ.get("UMBEL_POD_UID"):
        return
    liveness = broker.liveness()
    try:
        found = namesakes(liveness.owners(), hostname, machine_id())
    except ConnectionLost as error:
        log.warning("broker.away", extra={"error": str(error)})
        return
    finally:
        liveness.close()
    if found:
        log.warning(
            "worker.same_name",
            extra={
                "worker": hostname,
                "processes": ",".join(sorted(f"{owner.pid}@{owner.machine.split('.')[0]}" for owner in found)),
                "hint": "another worker has this name: a command for one reaches both, monitors take them for one, and they share "
                "the queue of their own. Give each a name, --hostname work1@%h",
            },
        )


def namesakes(owners: Iterable[OwnerInfo], hostname: str, machine: str) -> list[OwnerInfo]:
    """Return the owners of other workers of this name, without those of this machine whose process is gone."""
    return [owner for owner in owners if owner.hostname == hostname and (owner.machine != machine or _lives(owner.pid))]


def _lives(pid: int) -> bool:
    return state_of(pid) not in ("Z", "X")
