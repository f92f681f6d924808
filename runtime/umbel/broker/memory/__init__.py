"""A broker in the memory of one process, for tests: the semantics of the Redis one, without a server."""

from umbel.broker.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
