"""`delay()` ends within its deadline, five seconds in all unless set, and its error says what happened."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.chaos.proxy import ChaosProxy, each, first
from tests.redis_server import RedisServer

from umbel import Umbel
from umbel.errors import OperationalError, PublishUncertain
from umbel.redis.pool import TRUST

S = "tests.sample_app."
Produce = Callable[..., Umbel]


@pytest.fixture
def proxy(own_redis: RedisServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(own_redis.port)
    proxy.start()
    yield proxy
    proxy.stop()


def _ended(app: Umbel, *args: object) -> tuple[Exception, float]:
    """Send a task that cannot be sent; return the error and the seconds it took."""
    began = time.monotonic()
    with pytest.raises(OperationalError) as told:
        app.send_task(S + "add", args or (1, 1), task_id="the-id")
    return told.value, time.monotonic() - began


def test_a_hung_redis_is_given_up_after_five_seconds(own_redis: RedisServer, producer: Produce) -> None:
    """Who had a connection may have sent; who had none has not."""
    warm, cold = producer(own_redis), producer(own_redis)
    warm.send_task(S + "add", (1, 1))
    ends: dict[str, tuple[Exception, float]] = {}
    own_redis.pause()
    threads = [
        threading.Thread(target=lambda: ends.update(warm=_ended(warm))),
        threading.Thread(target=lambda: ends.update(cold=_ended(cold))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    own_redis.go_on()
    for error, seconds in ends.values():
        assert 4.5 < seconds < 10.0
        assert f"127.0.0.1:{own_redis.port}" in str(error)
    (sent, _), (unsent, _) = ends["warm"], ends["cold"]
    assert isinstance(sent, PublishUncertain)
    assert sent.task_ids == ("the-id",)
    assert "no answer for 5 s" in str(sent)
    assert "may have been sent" in str(sent)
    assert not isinstance(unsent, PublishUncertain)
    assert "cannot be reached within 5 s" in str(unsent)
    assert "check that it runs" in str(unsent)
    # Both go on as soon as Redis does.
    for app in (warm, cold):
        began = time.monotonic()
        app.send_task(S + "add", (1, 1))
        assert time.monotonic() - began < 4.5


def test_a_redis_that_is_gone_is_given_up_in_time(own_redis: RedisServer, producer: Produce) -> None:
    app = producer(own_redis, publish_timeout=1.0)
    app.send_task(S + "add", (1, 1))
    own_redis.stop()
    time.sleep(TRUST * 1.5)  # who used a connection a moment ago cannot know whether its server was there
    error, seconds = _ended(app)
    assert 0.5 < seconds < 4.5
    assert not isinstance(error, PublishUncertain)
    assert "cannot be reached within 1 s" in str(error)
    assert "refused" in str(error)


def test_many_slow_answers_count_together(own_redis: RedisServer, proxy: ChaosProxy, prefix: str) -> None:
    """Connecting, naming the queue and publishing wait for an answer each: the deadline is for all of them."""
    proxy.delay = 0.6
    app = Umbel("slow", broker=proxy.url, key_prefix=prefix, publish_timeout=1.5)
    error, seconds = _ended(app)
    app.close()
    assert seconds < 4.5
    assert isinstance(error, PublishUncertain)
    assert "no answer" in str(error)


def test_naming_the_queue_leaves_no_doubt(own_redis: RedisServer, proxy: ChaosProxy, prefix: str) -> None:
    """The connection breaks before anything was published: it is tried again, and said to be unsent in the end."""
    proxy.rule = each(1, b"SADD")
    app = Umbel("cut", broker=proxy.url, key_prefix=prefix, publish_timeout=2.0)
    error, _ = _ended(app)
    assert not isinstance(error, PublishUncertain)
    assert proxy.cut[b"SADD"] > 1
    proxy.rule = first(1, b"SADD")
    app.send_task(S + "add", (1, 1))
    assert app.broker.info("default").ready == 1
    app.close()


def test_a_forgotten_script_does_not_make_it_longer(own_redis: RedisServer, proxy: ChaosProxy, prefix: str) -> None:
    app = Umbel("slow", broker=proxy.url, key_prefix=prefix, publish_timeout=1.2)
    app.send_task(S + "add", (1, 1))
    with own_redis.client() as client:
        client.script_flush()
    proxy.delay = 0.8
    error, seconds = _ended(app)
    app.close()
    assert seconds < 4.5
    assert not isinstance(error, PublishUncertain), "a script that is not known did not run"
    assert proxy.passed[b"SCRIPT"] == 2  # it was told the script at first, and again


def test_what_does_not_fit_into_the_line_is_given_up_in_time(own_redis: RedisServer, producer: Produce) -> None:
    app = producer(own_redis, publish_timeout=1.0)
    app.send_task(S + "add", (1, 1))
    own_redis.pause()
    error, seconds = _ended(app, "x" * 30_000_000)
    own_redis.go_on()
    assert seconds < 4.5
    assert isinstance(error, PublishUncertain)
    assert "nothing could be sent" in str(error)


def test_a_slow_redis_in_time_is_none_the_worse(own_redis: RedisServer, proxy: ChaosProxy, prefix: str) -> None:
    proxy.delay = 0.2
    app = Umbel("slow", broker=proxy.url, key_prefix=prefix)
    for number in range(3):
        app.send_task(S + "add", (number, 0))
    assert app.broker.info("default").ready == 3
    app.close()


def test_a_silent_address_leaves_time_for_the_next(
    own_redis: RedisServer, producer: Produce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host may have two addresses, one of which swallows all that is sent to it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # its queue is full: nobody is let in any more, nor turned away
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(silent.getsockname())

        def two(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
            found = [silent.getsockname(), ("127.0.0.1", own_redis.port)]
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in found]

        app = producer(own_redis, publish_timeout=4.0)
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", two)
            began = time.monotonic()
            app.send_task(S + "add", (1, 1))
        assert time.monotonic() - began > 1.9
        for other in waiting:
            other.close()
