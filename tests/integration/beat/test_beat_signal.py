"""The signal of beat: sent in its process, before anything is due."""

from __future__ import annotations

from pathlib import Path

from tests.integration.beat.process import BeatProcess, eventually
from tests.redis_server import RedisServer

APP = """
from pathlib import Path
from umbel import Umbel
from umbel.signals import beat_init

app = Umbel("shop", beat_schedule={"often": {"task": "tick", "schedule": 0.1}})

@beat_init.connect
def begun(sender, **kwargs):
    waiting = app.broker.info("default").ready
    Path("begun").write_text(f"{type(sender).__name__} {waiting}")
"""


def test_beat_init_is_sent_once_before_anything_is_sent(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    told = tmp_path / "begun"
    beat = BeatProcess(redis_server, prefix, tmp_path / "log", app="shop", cwd=tmp_path)
    try:
        assert eventually(lambda: told.exists() and told.read_text(), what="beat_init") == "Beat 0"
    finally:
        beat.process.terminate()
        beat.process.wait(60)
