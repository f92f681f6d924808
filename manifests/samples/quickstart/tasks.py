"""The quickstart: tasks that read files."""

import hashlib
import time
from pathlib import Path

from umbel import Umbel

app = Umbel("quickstart", task_default_queue="texts")


@app.task
def count_words(path: str) -> int:
    """Count the words of a text file."""
    return len(Path(path).read_text(encoding="utf-8").split())


@app.task(autoretry_for=(FileNotFoundError,), default_retry_delay=1, max_retries=20)
def checksum(path: str) -> str:
    """Return the SHA-256 of a file; one that is not there yet is tried again."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@app.task(time_limit=2)
def wait_for(path: str) -> float:
    """Wait until a file is there, for two seconds at the most; return for how long that took."""
    began = time.monotonic()
    while not Path(path).exists():
        time.sleep(0.1)
    return time.monotonic() - began


@app.task
def inventory(folder: str | None = None) -> dict[str, int]:
    """Count the files of a folder and their bytes; without an argument, those beside this module."""
    sizes = [path.stat().st_size for path in Path(folder or Path(__file__).parent).iterdir() if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}
