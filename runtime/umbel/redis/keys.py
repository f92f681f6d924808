"""The name of every key. No other module spells one.

A key is ``<prefix>:{tag}:<part>``; the hash tag keeps what one script touches in one slot of a Redis Cluster.
Kept for ever, once a queue exists: ``meta`` and the set of names, and a count if it ever dropped a message. All other keys
vanish when empty or have a TTL.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

#: Version of the layout of keys, written into each queue's ``meta``; a library refuses a newer one.
LAYOUT: Final = 1
PRIORITIES: Final = 10
#: Stands in the place of an owner: what a full queue dropped, until those who wait for it were told.
DROPPED: Final = "dropped"
#: The same for what waited in an own queue that ends.
ENDED: Final = "ended"


class QueueKeys(NamedTuple):
    """The keys of one queue, all in one slot."""

    name: str
    meta: str  #: HASH settings, layout version
    bell: str  #: ZSET one wake marker
    eta: str  #: ZSET due (ms) -> message
    inflight: str  #: STRING count of messages that owners hold
    dead: str  #: ZSET time (ms) -> reason and message
    ready: tuple[str, ...]  #: LISTs, by priority 0-9
    fair: str  #: ZSET messages of groups, in the order in which they are served
    clocks: str  #: ZSET how far each group, and each priority, has come in that order
    dropped: str  #: HASH tag -> message, as of an owner: dropped from a full queue, and nobody told yet
    hold: str  #: HASH the taken places of concurrency limits
    park: str  #: ZSET messages that wait for a place


@lru_cache(maxsize=4096)
def queue(prefix: str, name: str) -> QueueKeys:
    """Return the keys of a queue."""
    base = f"{prefix}:{{{name}}}:"
    ready = tuple(f"{base}r:{priority}" for priority in range(PRIORITIES))
    return QueueKeys(
        name,
        f"{base}meta",
        f"{base}bell",
        f"{base}eta",
        f"{base}n",
        f"{base}dead",
        ready,
        f"{base}fair",
        f"{base}fair:t",
        f"{base}o:{DROPPED}",
        f"{base}hold",
        f"{base}park",
    )


def owned(prefix: str, queue_name: str, owner: str) -> str:
    """HASH delivery tag -> message: what an owner holds of one queue; field ``@`` = the owner is alive, last tag."""
    return f"{prefix}:{{{queue_name}}}:o:{owner}"


def rate(prefix: str, queue_name: str, key: str) -> str:
    """HASH, with a TTL: when the next start of a rate limit is due."""
    return f"{prefix}:{{{queue_name}}}:rate:{key}"


def lock(prefix: str, queue_name: str, name: str) -> str:
    """STRING, with a TTL: the id of the unique task that was sent and has not ended."""
    return f"{prefix}:{{{queue_name}}}:lock:{name}"


def deaths(prefix: str, queue_name: str) -> str:
    """LIST, with a TTL: who died with which messages of a queue, for the story of dead letters."""
    return f"{prefix}:{{{queue_name}}}:deaths"


def purged(prefix: str, queue_name: str) -> str:
    """STRING, with a TTL: uid of the TaskQueue with which the queue was deleted."""
    return f"{prefix}:{{{queue_name}}}:purged"


def forwarded(prefix: str, queue_name: str, nonce: str) -> str:
    """STRING, with a TTL, in the slot of the queue that receives: this dead letter was forwarded to it."""
    return f"{prefix}:{{{queue_name}}}:fwd:{nonce}"


def beats(prefix: str) -> str:
    """ZSET owner -> last heartbeat (ms)."""
    return f"{prefix}:{{owners}}:beat"


def registry(prefix: str, owner: str) -> str:
    """HASH of one owner: its queues, machine, process, figures."""
    return f"{prefix}:{{owners}}:o:{owner}"


def dying(prefix: str) -> str:
    """SET of owners whose burial was begun and not ended."""
    return f"{prefix}:{{owners}}:dying"


def own_watch(prefix: str) -> str:
    """ZSET, with a TTL: own queue -> since when nobody consumes it (ms)."""
    return f"{prefix}:{{owners}}:own"


def own_turn(prefix: str) -> str:
    """STRING, with a TTL: somebody has just looked after the own queues."""
    return f"{prefix}:{{owners}}:own:turn"


def queue_names(prefix: str) -> str:
    """SET of the names of all queues that were ever used."""
    return f"{prefix}:{{owners}}:queues"


def result(prefix: str, task_id: str) -> str:
    """STRING, with a TTL: the record of one task."""
    return f"{prefix}:{{{task_id}}}:res"


def result_part(prefix: str, task_id: str, nonce: str, number: int) -> str:
    """STRING, with a TTL: a part of the value of a large record."""
    return f"{prefix}:{{{task_id}}}:res:{nonce}:{number}"


def inbox(prefix: str, client: str) -> str:
    """LIST, with a TTL: replies for one client process."""
    return f"{prefix}:{{inbox:{client}}}"


def revoked(prefix: str) -> str:
    """ZSET, with a TTL: task id -> when it was revoked (ms), trimmed by time and count."""
    return f"{prefix}:{{control}}:revoked"


def control_channel(prefix: str) -> str:
    """Channel of commands to all workers."""
    return f"{prefix}:{{control}}:commands"


def answers_channel(prefix: str, asker: str) -> str:
    """Channel of the answers to one who asked."""
    return f"{prefix}:{{control}}:answers:{asker}"


def events(prefix: str) -> str:
    """STREAM, with a TTL, capped by count and age: what happens to tasks and workers, where events are switched on."""
    return f"{prefix}:{{events}}:stream"


def agreed(prefix: str, queue_name: str, name: str) -> str:
    """STRING, with a TTL: the workers that a message of a Broadcast queue is copied to."""
    return f"{prefix}:{{{queue_name}}}:to:{name}"


def copied(prefix: str, queue_name: str, name: str) -> str:
    """STRING, with a TTL, in the slot of an own queue: the copy of this message was published to it."""
    return f"{prefix}:{{{queue_name}}}:copy:{name}"


# Beat and schedules


class ScheduleKeys(NamedTuple):
    """The keys of one schedule, all in one slot; each has a TTL that outlives two periods."""

    state: str  #: HASH what beat did last, what it counts, why it stopped
    runs: str  #: HASH run id -> task id and times: queued or running
    ended: str  #: ZSET run id -> when it ended (ms), so that no end counts twice
    succeeded: str  #: LIST history, the newest first
    failed: str  #: LIST history, the newest first


@lru_cache(maxsize=16384)
def schedule(prefix: str, uid: str) -> ScheduleKeys:
    """Return the keys of a schedule."""
    base = f"{prefix}:{{{uid}}}:"
    return ScheduleKeys(
        f"{base}sched", f"{base}runs", f"{base}runs:ended", f"{base}runs:succeeded", f"{base}runs:failed"
    )


def run(prefix: str, queue_name: str, run_id: str) -> str:
    """STRING, with a TTL, in the queue's slot: this run was enqueued."""
    return f"{prefix}:{{{queue_name}}}:run:{run_id}"


# Workflows


def workflow(prefix: str, name: str) -> tuple[str, str, str]:
    """Return the keys of a workflow, in one slot, each with a TTL that its steps renew: HASHes of its graph, states and values."""
    base = f"{prefix}:{{{name}}}:"
    return f"{base}graph", f"{base}state", f"{base}value"


def workflow_guard(prefix: str, queue_name: str, name: str) -> str:
    """STRING, a bitmap with a TTL, in the queue's slot: which nodes of a workflow were published to it."""
    return f"{prefix}:{{{queue_name}}}:w:{name}"


def workflow_of(prefix: str, task_id: str) -> str:
    """STRING, with a TTL: workflow and node of a task whose id the user chose."""
    return f"{prefix}:{{{task_id}}}:wf"


def beat_lock(prefix: str, source: str) -> str:
    """STRING, with a TTL: which beat leads this source of schedules."""
    return f"{prefix}:{{beat:{source}}}:lock"


def beat_epoch(prefix: str, source: str) -> str:
    """STRING how often the leader of this source has changed: the fencing number."""
    return f"{prefix}:{{beat:{source}}}:epoch"


def is_permanent(key: str) -> bool:
    """Return whether the key may stay for ever without a TTL: settings of a queue, how much it dropped, the set of queue names,
    beat's epochs."""
    return key.endswith((":meta", f":o:{DROPPED}", ":{owners}:queues")) or (":{beat:" in key and key.endswith(":epoch"))
