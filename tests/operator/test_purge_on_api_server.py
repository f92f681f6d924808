"""A TaskQueue with the policy Purge, deleted: from the API server through the operator and beat to the keys in Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.operator.apiproxy import proxied
from tests.operator.living import installed, operator, queue, resource, until
from tests.operator.realbeat import real_beat
from tests.redis_server import RedisServer

from umbel import Umbel
from umbel.errors import OperationalError, QueueClosed, TaskRevokedError
from umbel.redis import keys
from umbel_operator.kube.client import Api
from umbel_operator.kube.resources import BROKERS, TASKQUEUES

WithServer = Callable[[Any], None]

pytestmark = pytest.mark.timeout(240)


def test_a_purged_queue_goes_with_its_tasks_and_comes_back_empty(
    with_api_server: WithServer,
    redis_server: RedisServer,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a queue in two shards, each with a TaskQueue of its own and with tasks, when both are deleted, then each goes once its
    keys are gone, callers hear that their tasks were revoked, another queue keeps its tasks, and a new TaskQueue of the
    same name takes tasks again."""
    app = Umbel("shop", broker=redis_server.url, key_prefix=prefix, queue_shards={"mail": 2})
    client = redis_server.client()

    def left(name: str) -> set[bytes]:
        return set(client.scan_iter(f"{prefix}:{{{name}}}:*"))

    async def use(api: Api, namespace: str) -> None:
        await installed(api)

        async def gone(name: str) -> bool | None:
            return await api.get(TASKQUEUES, namespace, name) is None or None

        async def held(name: str) -> bool | None:
            live = await api.get(TASKQUEUES, namespace, name) or {"metadata": {}}
            return "umbel.dev/queue" in live["metadata"].get("finalizers", ()) or None

        async with proxied(os.environ["KUBECONFIG"]) as proxy:
            monkeypatch.setenv("KUBECONFIG", proxy.kubeconfig(tmp_path))
            async with (
                operator(api, namespace),
                real_beat(api, namespace, proxy, redis_server, prefix, tmp_path),
            ):
                await api.create(resource("Broker", "default", namespace, connection={"addresses": ["redis:6379"]}))
                shards = {"mail": "mail", "mail-1": "mail.1"}
                for name, effective in shards.items():
                    await api.create(queue(name, namespace, queueName=effective, deletionPolicy="Purge"))
                await api.create(queue("other", namespace))
                for name in shards:
                    await until(f"the finalizer of {name}", lambda n=name: held(n))  # type: ignore[misc]
                sent = [app.send_task("t", queue="mail", countdown=n % 2 * 3600) for n in range(40)]
                app.send_task("t", queue="other")
                assert all(left(effective) for effective in shards.values()), "both shards have tasks"
                waiting = asyncio.create_task(asyncio.to_thread(sent[0].get, timeout=60))
                for name in shards:
                    await api.delete(TASKQUEUES, namespace, name)
                for name in shards:
                    await until(f"{name} to go", lambda n=name: gone(n), 60)  # type: ignore[misc]
                with pytest.raises(TaskRevokedError):
                    await waiting
                assert {result.state for result in sent} == {"REVOKED"}
                for effective in shards.values():
                    assert left(effective) == {keys.purged(prefix, effective).encode()}
                assert app.broker.info("other").ready == 1
                await api.create(queue("mail", namespace, queueName="mail"))
                await until("the new one to take tasks", lambda: taken(app))
                await api.merge_patch(BROKERS, namespace, "default", {"metadata": {"finalizers": None}})

    async def taken(app: Umbel) -> bool | None:
        try:
            await asyncio.to_thread(app.send_task, "t", queue="mail")
        except (QueueClosed, OperationalError):
            return None
        return True

    with_api_server(use)
    app.close()
