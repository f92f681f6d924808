"""Send a few hundred tasks, from a process that is no worker: `python producer.py FOLDER`.

It finds the broker by UMBEL_BROKER_URL and UMBEL_KEY_PREFIX, as `umbel up` and the ConfigMap `<broker>-client` give them.
Of each task it prints one line of JSON: its id, what it is for, its name, its argument, when it was sent, its delay.
"""

import json
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from tasks import checksum, count_words, wait_for

from umbel import AsyncResult, Task

#: Files whose words are counted and whose checksums are taken: the modules of Python itself.
TEXTS = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120]
#: Seconds for which some tasks are delayed, and which one that waits for the gate may take.
DELAY, PATIENCE = 3.0, 45.0


def main() -> None:
    """Send everything and end."""
    folder = Path(sys.argv[1])
    # Four slots: these fill them, and go on as soon as the demo opens the gate.
    for _ in range(4):
        send("waits for the gate", wait_for, folder / "gate", time_limit=PATIENCE)
    for path in TEXTS:
        send("counts words", count_words, path)
        send("takes a checksum", checksum, path)
    for path in TEXTS[:10]:
        send("is delayed", count_words, path, countdown=DELAY)
    for _ in range(3):
        send("is tried again", checksum, folder / "written-later")
    for _ in range(2):
        send("hits its time limit", wait_for, folder / "never-written")
    for _ in range(3):
        send("fails", count_words, folder / "missing")


def send(purpose: str, task: Task[[str], Any], path: Path, **options: Any) -> None:
    """Send one task and print its line."""
    began = time.time()
    result: AsyncResult[Any] = task.apply_async(args=[str(path)], **options)
    line = {"id": result.id, "purpose": purpose, "task": task.name, "path": str(path)}
    sys.stdout.write(json.dumps({**line, "sent": began, "delay": options.get("countdown", 0.0)}) + "\n")


if __name__ == "__main__":
    main()
