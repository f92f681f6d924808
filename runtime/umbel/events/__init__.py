"""Events: what happens to tasks and workers, in one stream that keeps the last hours, and what can be made of it.

`umbel.events.base` is the port, ``redis`` and ``memory`` its adapters, `pen` writes, `receiver` reads, `state` adds up.
"""
