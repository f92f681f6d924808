"""For the tests of those who use Umbel: run tasks without a worker's processes, and without Redis.

``Umbel("myapp", broker="memory://test")`` keeps queues and results in this process, `InMemoryWorker` runs what is sent.
"""

from umbel.testing.worker import InMemoryWorker

__all__ = ["InMemoryWorker"]
