"""For the tests of those who use Umbel: run tasks without a worker's processes, and without Redis.

``Umbel("myapp", broker="memory://test")`` keeps queues and results in this process, `InMemoryWorker` runs what is sent, `sent`
notes it, `manual_time` and `ManualBeat` move the time. `umbel.testing.plugin` has fixtures for pytest.
"""

from umbel.clock import ManualClock
from umbel.testing.sending import Sent, SentCall, sent
from umbel.testing.time import ManualBeat, manual_time
from umbel.testing.worker import InMemoryWorker

__all__ = ["InMemoryWorker", "ManualBeat", "ManualClock", "Sent", "SentCall", "manual_time", "sent"]
