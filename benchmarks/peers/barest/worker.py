"""The barest worker that still does the work: fetch with an owner record, decode, call, store with a TTL, acknowledge.

One round trip carries the results and acknowledgements of a batch together with the fetch of the next.
"""

from __future__ import annotations

import os
import signal
import sys

import orjson

from benchmarks.adapter import Place
from benchmarks.peers.barest.tasks import TASKS
from benchmarks.peers.barest.wire import QUEUE, RESULT_TTL, Connection, pack, result_key

_BATCH = 64
#: Seconds to block on an empty queue, as Redis takes it.
_BLOCK = b"1"

#: KEYS: queue, owner hash. ARGV: how many to fetch, then the tags to acknowledge. Returns tag, message, tag, message …
_CYCLE = """
if #ARGV > 1 then redis.call('HDEL', KEYS[2], unpack(ARGV, 2)) end
local messages = redis.call('LPOP', KEYS[1], ARGV[1])
if not messages then return {} end
local pairs_ = {}
for i, message in ipairs(messages) do
  pairs_[2 * i - 1] = i
  pairs_[2 * i] = message
end
redis.call('HSET', KEYS[2], unpack(pairs_))
return pairs_
"""


def run(place: Place) -> None:
    """Run tasks until a signal ends the process."""
    connection = Connection(place.redis_url)
    owner = b"barest:owner:%d" % os.getpid()
    script = connection.call("SCRIPT", "LOAD", _CYCLE)
    assert isinstance(script, bytes)
    fetch = ("EVALSHA", script, 2, QUEUE, owner, _BATCH)
    stores: list[bytes] = []
    tags: list[int] = []
    while True:
        reply = connection.exchange(b"".join([*stores, pack(*fetch, *tags)]), len(stores) + 1)[-1]
        assert isinstance(reply, list)
        stores, tags = [], reply[::2]
        for message in reply[1::2]:
            task_id, name, arguments = orjson.loads(message)
            result = orjson.dumps(TASKS[name](*arguments))
            stores.append(pack("SET", result_key(task_id), result, "EX", RESULT_TTL))
        if not tags:
            connection.call("BLMOVE", QUEUE, QUEUE, "LEFT", "LEFT", _BLOCK)


def main() -> None:
    """Start the asked number of processes and wait for SIGTERM."""
    place = Place.from_environment()
    children = []
    for _ in range(place.processes):
        pid = os.fork()
        if pid == 0:
            run(place)
        children.append(pid)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        os.wait()
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
