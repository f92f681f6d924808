"""What runs around the planner: cache, work queue, executor, beat's poller, probes and metrics."""
