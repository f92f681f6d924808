"""The broker on Redis."""

from umbel.broker.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
