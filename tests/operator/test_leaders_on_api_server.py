"""Several operators on one API server: one works, and another goes on where it cannot."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.operator.apiproxy import ApiProxy, Fault, Seen, proxied
from tests.operator.living import OperatorProcess, filled, installed, pool, queue, until, when

from umbel_operator.kube.client import Api
from umbel_operator.kube.resources import DEPLOYMENTS, LEASES
from umbel_operator.runtime.election import LEASE_SECONDS, PERIOD_SECONDS

logger = logging.getLogger(__name__)

WithServer = Callable[[Any], None]

pytestmark = pytest.mark.timeout(180)

#: Seconds in which another operator works once the leader is gone, with what a busy machine adds.
TAKE_OVER = LEASE_SECONDS + 2 * PERIOD_SECONDS + 15


class Pair:
    """Two operators, each with a proxy of its own between it and the API server."""

    def __init__(self, proxies: list[ApiProxy], operators: list[OperatorProcess]) -> None:
        self.proxies = proxies
        self.operators = operators

    async def leader(self) -> int:
        """Wait until one leads and both are ready; tell which."""
        for one in self.operators:
            await until("both to be ready", one.is_ready, 60)

        async def look() -> tuple[int] | None:
            leading = [n for n, one in enumerate(self.operators) if await one.leads()]
            assert len(leading) <= 1
            return (leading[0],) if leading else None

        return (await until("one to lead", look, 60))[0]

    def work(self, which: int, since: float = 0.0) -> list[Seen]:
        """List what an operator wrote, but for the Lease and for calls of beat."""
        return [s for s in self.proxies[which].writes(since) if "/leases" not in s.path and "/proxy/" not in s.path]


@asynccontextmanager
async def pair(api: Api, namespace: str, folder: Path) -> AsyncIterator[Pair]:
    await installed(api)
    kubeconfig = os.environ["KUBECONFIG"]
    async with proxied(kubeconfig) as one, proxied(kubeconfig) as two:
        proxies = [one, two]
        operators = [
            OperatorProcess(
                proxy.kubeconfig(folder),
                namespace,
                folder / f"{n}.log",
                *("--leader-elect", "--lease-namespace", namespace),
            )
            for n, proxy in enumerate(proxies)
        ]
        async with operators[0], operators[1]:
            yield Pair(proxies, operators)


async def deployed(api: Api, namespace: str, name: str, seconds: float = 20.0) -> None:
    await until(f"the Deployment of {name}", lambda: api.get(DEPLOYMENTS, namespace, f"{name}-worker"), seconds)


async def generation(api: Api, namespace: str, name: str) -> int:
    live = await api.get(DEPLOYMENTS, namespace, f"{name}-worker")
    assert live is not None
    return int(live["metadata"]["generation"])


async def ordered(api: Api, namespace: str, name: str) -> None:
    """Make a queue with a pool."""
    await api.create(queue(name, namespace))
    await api.create(pool(name, namespace))


def test_after_a_kill_the_other_goes_on_and_nobody_writes_twice(with_api_server: WithServer, tmp_path: Path) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with pair(api, namespace, tmp_path) as both:
            leader = await both.leader()
            other = 1 - leader
            await filled(api, namespace)
            await deployed(api, namespace, "mail")
            await until("beat", lambda: api.get(DEPLOYMENTS, namespace, "default-beat"), 40)
            assert both.work(other) == []
            await both.operators[leader].kill()
            killed = time.monotonic()
            await ordered(api, namespace, "later")
            await deployed(api, namespace, "later", TAKE_OVER)
            took = time.monotonic() - killed
            assert took > LEASE_SECONDS - PERIOD_SECONDS - 1
            logger.info("taken over %.1f s after the kill", took)
            # What the first had made is applied once more at most, which changes nothing, and nothing is made twice.
            assert await generation(api, namespace, "mail") == 1
            assert all(s.method == "PATCH" for s in both.work(other) if "mail-worker" in s.path)
            made = [s.path for which in (0, 1) for s in both.work(which) if s.method == "POST"]
            assert made.count(f"/apis/apps/v1/namespaces/{namespace}/deployments") == 3
            await both.operators[leader].start()
            await until("the first to be ready again", both.operators[leader].is_ready, 60)
            began = time.monotonic()
            await ordered(api, namespace, "third")
            await deployed(api, namespace, "third")
            assert both.work(leader, began) == []
            assert not await both.operators[leader].leads()
            lease = await api.get(LEASES, namespace, "umbel-operator")
            assert lease is not None
            assert lease["spec"]["leaseTransitions"] == 1

    with_api_server(use)


def test_a_leader_that_stood_still_writes_nothing_when_it_wakes(with_api_server: WithServer, tmp_path: Path) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with pair(api, namespace, tmp_path) as both:
            leader = await both.leader()
            other = 1 - leader
            await filled(api, namespace)
            await deployed(api, namespace, "mail")
            both.operators[leader].send(signal.SIGSTOP)
            await ordered(api, namespace, "later")
            await deployed(api, namespace, "later", TAKE_OVER)
            # Much to do for whoever believes to lead.
            for n in range(5):
                await api.merge_patch(DEPLOYMENTS, namespace, "mail-worker", {"spec": {"replicas": 3 + n}})
            woken = time.monotonic()
            both.operators[leader].send(signal.SIGCONT)
            for n in range(20):
                await ordered(api, namespace, f"more-{n}")
            await deployed(api, namespace, "more-19", 40)
            assert both.work(leader, woken) == []
            assert await both.operators[other].leads()
            await until("the first to see it", lambda: when("not_leading" in both.operators[leader].log()))

    with_api_server(use)


def test_a_leader_that_stops_hands_over_at_once(with_api_server: WithServer, tmp_path: Path) -> None:
    async def use(api: Api, namespace: str) -> None:
        async with pair(api, namespace, tmp_path) as both:
            leader = await both.leader()
            await filled(api, namespace)
            await deployed(api, namespace, "mail")
            both.operators[leader].send(signal.SIGTERM)
            assert await both.operators[leader].wait() == 0
            began = time.monotonic()
            await until("the other to lead", both.operators[1 - leader].leads, LEASE_SECONDS)
            logger.info("handed over in %.1f s", time.monotonic() - began)
            await ordered(api, namespace, "later")
            await deployed(api, namespace, "later")

    with_api_server(use)


def test_an_operator_that_cannot_renew_stops_to_write_and_goes_on_afterwards(
    with_api_server: WithServer, tmp_path: Path
) -> None:
    """Given one operator whose renewals fail while all else works, then it writes nothing until they work again."""

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        elect = ("--leader-elect", "--lease-namespace", namespace)
        async with (
            proxied(os.environ["KUBECONFIG"]) as proxy,
            OperatorProcess(proxy.kubeconfig(tmp_path), namespace, tmp_path / "log", *elect) as one,
        ):
            await until("it to lead", one.leads, 60)
            await filled(api, namespace)
            await deployed(api, namespace, "mail")
            proxy.fault = lambda seen: Fault(503) if "/leases" in seen.path else None

            async def follows() -> bool | None:
                return not await one.leads() or None

            await until("it to step down", follows, LEASE_SECONDS)
            stepped = time.monotonic()
            await ordered(api, namespace, "later")
            await asyncio.sleep(3)
            assert [s for s in proxy.writes(stepped) if "/leases" not in s.path] == []
            assert await one.is_ready()
            proxy.fault = lambda seen: None
            await deployed(api, namespace, "later", 30)
            assert await one.leads()

    with_api_server(use)
