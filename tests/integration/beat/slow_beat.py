"""What beat has to enqueue, the slow and obvious way: look at every second. Shares no code with the library."""

from __future__ import annotations

from dataclasses import dataclass, field

#: How late a slot may be, in seconds, and still count as on time, for the policy Skip.
TOLERANCE = 30


@dataclass
class SlowBeat:
    """One schedule that fires each ``every`` seconds of the Unix epoch. All times are whole seconds.

    Args:
        every: the period.
        jitter: seconds after its slot at which a run is due.
        policy, most, deadline: ``catchUp.policy``, ``catchUp.maxRuns`` and ``startingDeadlineSeconds``.
        dealt_with: the moment from which slots count.
    """

    every: int
    jitter: float
    policy: str
    most: int
    deadline: int | None
    dealt_with: float
    suspended: bool = False
    ran: list[int] = field(default_factory=list)
    missed: int = 0

    def look(self, now: int) -> None:
        """Do what is due."""
        if self.suspended:
            return
        first = int(self.dealt_with // 1) + 1
        due = [slot for slot in range(first, now + 1) if slot % self.every == 0 and slot + self.jitter <= now]
        if not due:
            return
        in_time = [slot for slot in due if self._is_in_time(now - self.jitter - slot)]
        chosen = in_time[-(self.most if self.policy == "All" else 1) :]
        self.ran += chosen
        self.missed += len(due) - len(chosen)
        self.dealt_with = due[-1]

    def _is_in_time(self, late: float) -> bool:
        if self.policy == "Skip" and late > TOLERANCE:
            return False
        return self.deadline is None or late <= self.deadline

    def edit(self, now: int, every: int | None = None) -> None:
        """The schedule is edited; ``every`` where that changes when it fires. What was missed is dropped, never made up for."""
        since = now - self.jitter if every is None else now
        self.every = every or self.every
        self.dealt_with = max(self.dealt_with, since)

    def resume(self, now: int) -> None:
        """A suspension ends: only what an explicit deadline still allows is made up for."""
        self.suspended = False
        if self.policy == "Skip" or self.deadline is None:
            self.dealt_with = max(self.dealt_with, now)
        else:
            self.dealt_with = max(self.dealt_with, now - self.jitter - self.deadline - 0.001)
