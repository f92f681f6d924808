"""What takes part in the life of tasks, from `delay` to their end: signals, tracing, and whatever an app adds."""

from umbel.middleware.base import Call, Middleware, Option

__all__ = ["Call", "Middleware", "Option"]
