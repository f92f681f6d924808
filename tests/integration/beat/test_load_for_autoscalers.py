"""What beat tells those who scale a pool from outside: KEDA's `metrics-api` scaler reads it as the sample says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import BeatProcess, eventually
from tests.redis_server import RedisServer

from umbel.beat.http import JSON

SAMPLE = Path(__file__).parents[3] / "manifests" / "samples" / "keda.yaml"


def trigger() -> dict[str, str]:
    """Read the settings of KEDA's scaler in the sample."""
    pool, scaled = yaml.safe_load_all(SAMPLE.read_text(encoding="utf-8"))
    assert pool["spec"]["autoscaling"] == {"type": "External"}
    assert scaled["spec"]["scaleTargetRef"] == {key: pool[key] for key in ("apiVersion", "kind")} | pool["metadata"]
    (found,) = scaled["spec"]["triggers"]
    assert found["type"] == "metrics-api"
    settings: dict[str, str] = found["metadata"]
    assert urlsplit(settings["url"]).path == f"/v1/pools/{pool['metadata']['name']}"
    return settings


def value(beat: BeatProcess) -> float | None:
    """Read the number as KEDA does: a body of JSON, a path of names, a number; None where that gives an error."""
    settings = trigger()
    code, headers, body = beat.get(urlsplit(settings["url"]).path)
    if code != 200:
        return None
    assert headers["content-type"].startswith(JSON)
    found: Any = json.loads(body)
    for name in settings["valueLocation"].split("."):
        found = found[name]
    assert isinstance(found, int)
    return float(found)


def test_the_load_follows_the_queue_and_is_an_error_while_it_is_not_known(
    own_redis: RedisServer, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    pools = [{"name": "reports", "uid": "p", "queues": ["mail"], "slots": 4}]
    mounted.write({"queues": [queue("mail")], "pools": pools})
    beat = start_beat(own_redis)
    eventually(lambda: value(beat) == 0.0, what="a load of nothing")
    mounted.write({"queues": [queue("mail")], "pools": pools, "schedules": [schedule("s1")]})
    eventually(lambda: (value(beat) or 0.0) >= 3.0, what="a load of three tasks")

    own_redis.stop()
    eventually(lambda: value(beat) is None, what="no number without Redis")
    code, _, body = beat.get("/v1/pools/reports")
    assert code == 503
    assert "Redis is away" in json.loads(body)["error"]
    own_redis.start()
    eventually(lambda: value(beat) is not None, what="the number again")
