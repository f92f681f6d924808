"""What the in-memory adapters share: the state of one named store, as `umbel.redis` is for the Redis adapters."""
