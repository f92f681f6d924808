"""Polling beat, and telling it of Pods that are gone, against a real HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from umbel_operator.kube.errors import Json
from umbel_operator.kube.transport import Transport
from umbel_operator.runtime.beatclient import ApiServerRoute, BeatUnreachableError, Reply
from umbel_operator.runtime.beatpoller import EAGER_PERIOD, EAGER_POLLS, PERIOD, BeatPoller, Difference, Polled, compare
from umbel_operator.runtime.cache import Change
from umbel_operator.runtime.goners import Goners, gone_pod
from umbel_operator.runtime.metrics import Metrics

BROKER = ("shop", "default")


class Beat:
    """Answer as beat does, through what the API server's proxy looks like."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {"leader": True, "loadedRevision": "7", "loadErrors": [], "redis": {"ok": True}}
        self.etag = '"1"'
        self.up = True
        self.gone: list[Any] = []
        self.polls: list[str | None] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path.startswith("/api/v1/namespaces/shop/services/default-beat:8080/proxy/v1/")
        if not self.up:
            status = {"kind": "Status", "message": 'no endpoints available for service "default-beat"'}
            return web.json_response(status, status=503)
        if request.path.endswith("/pods/gone"):
            self.gone.append(await request.json())
            return web.Response(status=202)
        self.polls.append(request.headers.get("If-None-Match"))
        if self.polls[-1] == self.etag:
            return web.Response(status=304, headers={"ETag": self.etag})
        return web.json_response(self.status, headers={"ETag": self.etag})


def with_beat(use: Callable[[Beat, ApiServerRoute], Awaitable[None]]) -> None:
    async def run() -> None:
        beat = Beat()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", beat.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        transport = Transport(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
        try:
            await use(beat, ApiServerRoute(transport))
        finally:
            await transport.close()
            await runner.cleanup()

    asyncio.run(run())


def poller(route: Any, report: Callable[[Any, Difference], None] | None = None, **options: Any) -> BeatPoller:
    return BeatPoller(route, report or (lambda name, difference: None), Metrics("test"), **options)


def test_an_unchanged_status_costs_no_body() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        polls, polled = poller(route, clock=lambda: 1000.0), Polled()
        first = await polls.poll_once(BROKER, polled)
        assert (first.broker, first.revision) == (True, True)
        assert not await polls.poll_once(BROKER, polled)
        assert beat.polls == [None, '"1"']
        assert polled.sample is not None
        assert polled.sample.loaded_revision == "7"

    with_beat(use)


def test_three_silent_polls_make_a_sample_stale_and_the_next_answer_fresh() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        now = 1000.0
        polls, polled = poller(route, clock=lambda: now), Polled()
        await polls.poll_once(BROKER, polled)
        beat.up = False
        told = []
        for _ in range(4):
            now += 10
            told.append(bool(await polls.poll_once(BROKER, polled)))
        assert told == [False, False, True, False]
        assert polled.stale
        assert polled.error is not None
        assert "no endpoints available" in polled.error
        beat.up = True
        assert (await polls.poll_once(BROKER, polled)).broker is True
        assert not polled.stale

    with_beat(use)


def test_quick_polls_of_a_restarting_beat_do_not_make_it_silent() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        now = 1000.0
        polls, polled = poller(route, clock=lambda: now), Polled()
        await polls.poll_once(BROKER, polled)
        beat.up = False
        for _ in range(20):
            now += 1
            await polls.poll_once(BROKER, polled)
        assert polled.misses == 2
        assert not polled.stale

    with_beat(use)


def test_polling_begins_with_the_broker_and_ends_with_it() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        polls = poller(route, lambda *what: told.put_nowait(what), rng=lambda low, high: 0.01)
        assert polls.sample(BROKER) is None
        polls.follow([BROKER])
        async with asyncio.timeout(60):
            name, difference = await told.get()
            assert (name, difference.broker) == (BROKER, True)
            beat.status, beat.etag = {**beat.status, "queues": {"mail": {"ready": 1}}}, '"2"'
            name, difference = await told.get()
            assert (difference.queues, difference.broker) == (frozenset({"mail"}), False)
        sample = polls.sample(BROKER)
        assert sample is not None
        assert sample.queues == {"mail": {"ready": 1}}
        polls.follow([])
        assert polls.sample(BROKER) is None
        await polls.stop()

    with_beat(use)


def test_metrics_tell_which_beats_are_silent() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        metrics = Metrics("test")
        polls = BeatPoller(route, lambda *what: told.put_nowait(what), metrics)

        def stale() -> float | None:
            labels = {"namespace": BROKER[0], "broker": BROKER[1]}
            return metrics.registry.get_sample_value("umbel_operator_beat_stale", labels)

        assert stale() is None
        polls.follow([BROKER])
        assert stale() == 1
        async with asyncio.timeout(60):
            await told.get()
        assert stale() == 0
        await polls.stop()

    with_beat(use)


def test_a_beat_that_is_watched_closely_is_asked_every_second_or_two_all_the_time() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        waits: asyncio.Queue[tuple[float, float]] = asyncio.Queue()

        def note(low: float, high: float) -> float:
            waits.put_nowait((low, high))
            return 0.001

        closely = True
        polls = poller(route, rng=note, closely=lambda name: closely)
        polls.follow([BROKER])
        async with asyncio.timeout(60):
            assert {await waits.get() for _ in range(EAGER_POLLS + 20)} == {EAGER_PERIOD}
            closely = False
            while await waits.get() != PERIOD:
                pass
        await polls.stop()

    with_beat(use)


def test_an_expected_change_is_asked_for_at_once() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        polls = poller(route, lambda *what: told.put_nowait(what), rng=lambda low, high: 3600)
        polls.follow([BROKER])
        async with asyncio.timeout(60):
            await told.get()
            beat.status, beat.etag = {**beat.status, "loadedRevision": "8"}, '"2"'
            polls.expect(BROKER)
            _, difference = await told.get()
        assert difference.revision
        await polls.stop()

    with_beat(use)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"leader": True}, {"leader": True}, Difference()),
        ({"leader": True}, {"leader": False}, Difference(broker=True)),
        ({"redis": {"ok": True}}, {"redis": {"ok": False}}, Difference(broker=True)),
        ({"loadedRevision": "1"}, {"loadedRevision": "2"}, Difference(broker=True, revision=True)),
        ({"loadErrors": []}, {"loadErrors": [{"uid": "a"}]}, Difference(broker=True, revision=True)),
        (
            {"schedules": {"a": {"activeRuns": 0, "missedRuns": 0}, "b": {"activeRuns": 0, "missedRuns": 0}}},
            {"schedules": {"a": {"activeRuns": 1, "missedRuns": 0}, "b": {"activeRuns": 0, "missedRuns": 2}}},
            Difference(schedules=frozenset({"a", "b"}), turned=frozenset({"b"})),
        ),
        (
            {"schedules": {}},
            {"schedules": {"a": {"x": 1}}},
            Difference(schedules=frozenset({"a"}), turned=frozenset({"a"})),
        ),
        (
            {"pools": {"p": {"busy": 0}, "q": {}}},
            {"pools": {"p": {"busy": 1}, "q": {}}},
            Difference(pools=frozenset({"p"})),
        ),
    ],
)
def test_only_what_differs_is_told(before: Json, after: Json, expected: Difference) -> None:
    assert compare(before, after) == expected


def pod(uid: str, phase: str = "Running", broker: str | None = "default") -> dict[str, Any]:
    labels = {"umbel.dev/broker": broker} if broker else {}
    meta = {"name": f"pod-{uid}", "namespace": "shop", "uid": uid, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        (pod("a"), None, True),
        (None, pod("a"), False),
        (pod("a"), pod("a", "Failed"), True),
        (pod("a", "Failed"), pod("a", "Failed"), False),
        (pod("a", broker=None), None, False),
        ({**pod("a"), "kind": "Deployment"}, None, False),
    ],
)
def test_a_pod_is_gone_when_it_vanished_or_ended(old: Any, new: Any, gone: bool) -> None:
    assert gone_pod(Change(old, new)) == ((BROKER, "a") if gone else None)


def test_pods_that_vanish_together_are_told_in_one_call() -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        goners = Goners(route)
        for uid in ("a", "b", "c"):
            goners.note(Change(pod(uid), None))
        async with asyncio.timeout(60):
            await goners.join()
        assert beat.gone == [{"uids": ["a", "b", "c"]}]

    with_beat(use)


def test_pods_whose_node_is_gone_are_told_apart() -> None:
    """They may live on, so beat must not tell them to hand anything back."""

    async def use(beat: Beat, route: ApiServerRoute) -> None:
        goners = Goners(route)
        there = [{**pod(uid), "spec": {"nodeName": node}} for uid, node in (("a", "x"), ("b", "y"), ("c", "x"))]
        ended = {**pod("d", "Succeeded"), "spec": {"nodeName": "x"}}
        stranger = {**pod("e", broker=None), "spec": {"nodeName": "x"}}
        goners.strand("x", [*there, ended, stranger])
        goners.note(Change(pod("z"), None))
        async with asyncio.timeout(60):
            await goners.join()
        assert beat.gone == [{"uids": ["z"], "nodeless": ["a", "c"]}]

    with_beat(use)


def test_a_large_node_is_told_of_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(beat: Beat, route: ApiServerRoute) -> None:
        monkeypatch.setattr("umbel_operator.runtime.goners.AT_ONCE", 2)
        goners = Goners(route)
        goners.strand("x", [{**pod(uid), "spec": {"nodeName": "x"}} for uid in "abc"])
        async with asyncio.timeout(60):
            await goners.join()
        assert beat.gone == [{"uids": [], "nodeless": ["a", "b"]}, {"uids": [], "nodeless": ["c"]}]

    with_beat(use)


class Flaky:
    """A route that fails a few times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def call(self, *where: str, etag: str | None = None, body: Json | None = None) -> Reply:
        self.calls += 1
        if self.calls <= self.failures:
            raise BeatUnreachableError("refused")
        return Reply(202, None, {})

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3), (99, 4)])
def test_the_hint_is_repeated_a_few_times_and_then_dropped(
    failures: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr("umbel_operator.runtime.goners.ATTEMPTS", (0.0, 0.0, 0.0))
        route = Flaky(failures)
        goners = Goners(route)
        goners.note(Change(pod("a"), None))
        async with asyncio.timeout(60):
            await goners.join()
        assert route.calls == calls

    asyncio.run(run())
