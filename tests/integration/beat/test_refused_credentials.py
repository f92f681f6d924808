"""Redis with a password: what beat says of one that is missing or wrong, and that a new one in the file is taken up."""

from __future__ import annotations

from pathlib import Path

from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, schedule
from tests.integration.beat.process import Seen, eventually
from tests.redis_server import RedisServer


def test_wrong_missing_and_mended_credentials(
    own_redis: RedisServer, prefix: str, tmp_path: Path, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    client = own_redis.client()
    client.config_set("requirepass", "right")
    mounted.write({"schedules": [schedule("s1")]})
    password = tmp_path / "password"
    password.write_text("wrong")
    bare = start_beat(own_redis)
    wrong = start_beat(own_redis, env={"UMBEL_BROKER_PASSWORD_FILE": str(password)})
    for beat in (bare, wrong):
        eventually(lambda beat=beat: beat.status().get("redis", {}).get("reason") == "AuthFailed")  # type: ignore[misc]
        assert beat.status()["redis"]["error"]
    password.write_text("right")
    eventually(lambda: wrong.status()["redis"]["ok"])
    client.config_set("requirepass", "")
    eventually(lambda: Seen(own_redis.client(), prefix, "mail").of("s1"))
    eventually(lambda: bare.status()["redis"]["ok"])
