"""Results on Redis."""

from umbel.results.redis.results import RedisResults

__all__ = ["RedisResults"]
