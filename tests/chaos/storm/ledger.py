"""What was sent and what ran, written down outside Redis: one append-only file, one line an event, one write a line.

A line outlives whoever wrote it: once `note` has returned it is in the kernel's hands, and no signal takes it back.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

#: The environment variable that names the file.
VARIABLE = "STORM_LEDGER"

_fd = -1


def note(event: str, task_id: str, *more: object) -> None:
    """Append a line: event, task id, monotonic time (the same for all processes of a machine), process, and more."""
    global _fd
    if _fd < 0:
        _fd = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    words = [event, task_id, f"{time.monotonic():.3f}", str(os.getpid()), *map(str, more)]
    os.write(_fd, (" ".join(words) + "\n").encode())


@dataclass
class Story:
    """What the ledger tells, by task id.

    ``sent``: `delay` returned. ``uncertain``: it said that the task may have been sent, or nobody lived to hear its answer.
    ``refused``: it said that nothing was sent. ``began`` and ``ran``: how often; ``fresh``: how often with no delivery
    charged before, which is once for each time that the task was sent.
    """

    sent: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    began: Counter[str] = field(default_factory=Counter)
    fresh: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    unanswered: int = 0
    slowest_send: float = 0.0


def read(path: Path) -> Story:
    """Read a ledger."""
    story = Story()
    unheard: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        event, task_id, _, _, *more = line.split(" ")
        match event:
            case "sending":
                unheard[task_id] += 1
            case "merged":
                unheard[task_id] -= 1
            case "sent" | "uncertain" | "refused":
                unheard[task_id] -= 1
                getattr(story, event).add(task_id)
                if "." not in task_id:  # a task that sends others may have been frozen meanwhile, the producer never is
                    story.slowest_send = max(story.slowest_send, float(more[0]))
            case "began":
                story.began[task_id] += 1
                story.fresh[task_id] += more[0] == "0"
            case "ran":
                story.ran[task_id] += 1
            case "answered" | "unanswered":
                setattr(story, event, getattr(story, event) + 1)
    # A task that sends others may have run twice, and so have sent one of them twice: the most certain answer counts.
    story.uncertain.update(task_id for task_id, count in unheard.items() if count)
    story.uncertain -= story.sent
    story.refused -= story.sent | story.uncertain
    return story
