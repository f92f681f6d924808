"""A subscription whose peer vanished without a word is noticed, and made again."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.broker.redis import RedisBroker, listener


def _subscribers(server: RedisServer) -> list[str]:
    with server.client() as client:
        return [entry["id"] for entry in client.client_list(_type="pubsub")]


def test_a_silent_connection_is_tried_and_replaced(
    own_redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "QUIET", 0.1)
    monkeypatch.setattr(listener, "ANSWER", 1.5)
    heard: list[dict[str, Any]] = []
    broker = RedisBroker(own_redis.url, prefix=prefix)
    subscription = broker.listen(heard.append)
    try:
        until(lambda: _subscribers(own_redis), "it listens")
        with own_redis.client() as client:
            until(lambda: "cmdstat_ping" in client.info("commandstats"), "it asks whether Redis is still there")
            pid = client.info("server")["process_id"]
        until(lambda: broker.control({"command": "one"}) and {"command": "one"} in heard, "it hears all the same")
        before = set(_subscribers(own_redis))
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: subscription._tries > 0, "it gave the connection up", 60)
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: (now := set(_subscribers(own_redis))) and not now & before, "it listens again")
        until(lambda: broker.control({"command": "two"}) and {"command": "two"} in heard, "it hears again")
    finally:
        subscription.stop()
        subscription.join(5.0)
        broker.close()


def test_a_subscription_that_is_refused_is_said(
    own_redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "+@all", "~*", "resetchannels")
    broker = RedisBroker(own_redis.url.replace("redis://", "redis://worker:secret@"), prefix=prefix)
    with caplog.at_level(logging.WARNING):
        subscription = broker.listen(lambda command: None)
        try:
            until(lambda: "listener.reconnect" in caplog.messages, "it is said")
        finally:
            subscription.stop()
            subscription.join(5.0)
            broker.close()
