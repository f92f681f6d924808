"""A directory of definitions as the kubelet mounts it: files behind one link that is swapped at once."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def schedule(uid: str, queue: str = "mail", every: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the entry of a Schedule."""
    return {
        "uid": uid,
        "name": f"name-of-{uid}",
        "namespace": "shop",
        "generation": 1,
        "queue": queue,
        "task": {"name": "shop.tasks.report", "args": [1], "kwargs": {"a": "b"}},
        "trigger": {"type": "Interval", "interval": {"everySeconds": every}},
        "jitterSeconds": 0,
        "startingDeadlineSeconds": None,
        "catchUp": {"policy": "All", "maxRuns": 100},
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "stop": None,
        "successfulRunsHistoryLimit": 3,
        "failedRunsHistoryLimit": 3,
        "manualTrigger": None,
        **changes,
    }


def queue(name: str, **settings: Any) -> dict[str, Any]:
    """Return the entry of a TaskQueue."""
    return {
        "name": name,
        "resource": name,
        "uid": f"uid-{name}",
        "generation": 1,
        "settings": {"intake": "Accept", "dispatch": "Enabled", "maxDeliveries": 3, **settings},
    }


class MountedConfig:
    """Writes states of the directory; each is a folder of its own, and ``..data`` points at the newest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.serial = 0
        path.mkdir(parents=True, exist_ok=True)

    def write(self, *shards: dict[str, Any], serial: int | None = None, source: str = "broker-uid") -> int:
        """Put a state in place; return its serial."""
        self.serial = self.serial + 1 if serial is None else serial
        texts = {f"shard-{n:03}.json": json.dumps(shard) for n, shard in enumerate(shards)}
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        index = {"layout": 1, "serial": self.serial, "source": source, "shards": digests}
        self.put({**texts, "index.json": json.dumps(index)})
        return self.serial

    def put(self, files: dict[str, str]) -> None:
        """Swap in these files."""
        folder = self.path / f"..state-{os.urandom(4).hex()}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        link = self.path / "..data"
        fresh = self.path / "..data_tmp"
        fresh.symlink_to(folder.name)
        fresh.replace(link)
        for name in files:
            public = self.path / name
            if not public.is_symlink():
                public.symlink_to(Path("..data") / name)
