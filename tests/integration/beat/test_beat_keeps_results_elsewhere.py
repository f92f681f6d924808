"""Beat writes the ends of tasks that nobody will run where the results of its app are."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig
from tests.redis_server import RedisServer

from umbel import Umbel
from umbel.broker.base import Outgoing
from umbel.errors import QueueFull
from umbel.message import Message


def test_who_waits_on_a_database_is_told_of_what_a_full_queue_dropped(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat, tmp_path: Path
) -> None:
    url = f"db+sqlite:///{tmp_path}/results.db"
    app = Umbel("sample", broker=redis_server.url, backend=url, key_prefix=prefix, set_as_current=False)
    app.broker.configure("default", {"max_length": 1, "overflow": "DropOldest"}, 1)
    for number in range(2):  # and nothing more: as if killed before it could write the end
        message = Message({"id": f"{number}", "task": "t"}, b"[[],{}]")
        app.broker.publish("default", [Outgoing(message.encode(), f"{number}")])
    start_beat(redis_server, env={"UMBEL_RESULT_BACKEND": url})
    with pytest.raises(QueueFull):
        app.AsyncResult("0").get(timeout=60)
    with redis_server.client() as client:
        assert not [key for key in client.scan_iter(f"{prefix}:*") if key.endswith(b":res")]
    app.close()
