"""A TaskQueue with `deletionPolicy: Purge` goes with all that it holds, by operator and beat together."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_KEYS = """
import redis
server = redis.Redis(host="redis", decode_responses=True)
print(json.dumps(sorted(server.scan_iter(match="{prefix}:*{{name}}*", count=10000))))
"""


def test_a_queue_is_purged_and_another_of_its_name_begins_anew(shop: Kubectl, console: Console) -> None:
    name = f"rubbish-{uuid4().hex[:6]}"
    prefix = (shop.get("broker", "default") or {})["status"]["keyPrefix"]
    keys = _KEYS.replace("{prefix}", prefix).replace("{name}", name)
    shop.apply(queue(name, deletionPolicy="Purge"), pool("binmen", name, replicas=1, concurrency={"slots": 2}))
    try:
        shop.running("umbel.dev/pool=binmen", 1)
        ids = console.stay(run := uuid4().hex, 60, count=0)
        console.run(
            f"[stay.apply_async(args=[{run!r}, 60], queue={name!r}) for _ in range(20)]\n"
            f"stamp.apply_async(args=[{run!r}, 'later'], queue={name!r}, countdown=600)\nprint(json.dumps({ids!r}))"
        )
        wait("two to run", lambda: len(console.starts(run)) == 2 or None)
        assert console.run(keys)
        shop("delete", f"taskqueue/{name}", "--wait=false")
        # What is in flight belongs to workers: as long as they hold it, the queue is not gone.
        shop("delete", "workerpool/binmen", "--wait=false")
        shop.gone("umbel.dev/pool=binmen")
        wait("the TaskQueue to go", lambda: True if shop.get("taskqueue", name) is None else None)
        # One note stays for a while, by which beat says that it is done.
        assert [key for key in console.run(keys) if not key.endswith(":purged")] == []
        assert len(console.starts(run)) == 2
    finally:
        shop("delete", "workerpool/binmen", f"taskqueue/{name}", "--ignore-not-found", "--wait=false")

    again = uuid4().hex
    shop.apply(queue(name), pool("binmen", name))
    try:
        shop.wait_condition("taskqueue", name, "Ready", "True")
        console.run(f"print(json.dumps(stamp.apply_async(args=[{again!r}, 'new'], queue={name!r}).id))")
        wait("the new task", lambda: len(console.run(f"print(json.dumps(starts_of({again!r})))")) == 1 or None)
        assert len(console.starts(run)) == 2
    finally:
        shop("delete", "workerpool/binmen", f"taskqueue/{name}")
