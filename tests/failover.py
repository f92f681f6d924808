"""What a failover has to show, whoever carries it out: producers and workers go on, and nothing is lost but what may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.sending import Sending
from tests.workers import Worker, runs, until

from umbel import Umbel

#: What asynchronous replication may lose: what was sent within so many seconds before the master died, and how much at the most.
WINDOW = 1.0
MOST = 100
#: Seconds within which workers and producers are at it again, from the promotion on.
AGAIN = 15.0


def fail_over(
    app: Umbel,
    workers: Sequence[Worker],
    fail: Callable[[], None],
    promoted: Callable[[], bool],
    *,
    queues: Sequence[str],
    safe: bool,
) -> tuple[Sending, str]:
    """Fail the master under load, wait until all is worked off, and look for what is missing.

    Args:
        app: sends.
        workers: that are ready.
        fail: kills or freezes the master.
        promoted: whether another one has taken its place.
        queues: that hold the tasks.
        safe: send with ``durability="replicated"``, which loses nothing.

    Returns: what was sent, and the figures as a sentence.
    """
    ledger = workers[0].ledger
    sending = Sending(app, durability="replicated") if safe else Sending(app)
    try:
        until(lambda: len(runs(ledger)) > 300, "they are at it", 60)
        fail()
        failed = time.monotonic()
        until(promoted, "a replica is promoted", 60)
        back = time.monotonic()
        until(lambda: sending.sent_after(back), "producers go on")
        sent_again = time.monotonic() - back
        done = len(runs(ledger))
        until(lambda: len(runs(ledger)) > done, "workers go on")
        ran_again = time.monotonic() - back
        until(lambda: len(runs(ledger)) > done + 200, "all goes its way again", 60)
    finally:
        sending.stop()
    assert max(sent_again, ran_again) < AGAIN
    until(lambda: _left(app, queues) == 0, "all is worked off", 60)
    lost = sorted(sending.sent.keys() - set(map(int, runs(ledger))))
    assert all(failed - WINDOW < sending.sent[number] < back for number in lost), "only what was not replicated"
    assert len(lost) < (1 if safe else MOST)
    assert all(worker.process.poll() is None for worker in workers)
    return sending, (
        f"\n{len(sending.sent)} sent, {len(lost)} lost with the master, {len(sending.failed)} sends failed; promoted "
        f"{back - failed:.1f} s after the failure, sent again {sent_again:.1f} s and ran again {ran_again:.1f} s after that"
    )


def _left(app: Umbel, queues: Sequence[str]) -> int:
    infos = [app.broker.info(queue) for queue in queues]
    return sum(info.ready + info.delayed + info.in_flight for info in infos)
