"""What runs the tasks of a child that runs several at once: its crew fetches and reports, the hands work."""

from __future__ import annotations

from typing import Protocol


class Hands(Protocol):
    """Threads, or asyncio. They take from the crew what they run (`Crew.take`) and bring it back (`Crew.end`)."""

    def serve(self) -> None:
        """Work, in the child's main thread, until `stop`."""

    def wake(self, count: int) -> None:
        """So many deliveries more can be taken. From the crew's thread."""

    def stop(self) -> None:
        """Nothing is left to do. From the crew's thread."""
