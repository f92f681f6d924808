"""A task that kills its whole worker ends in the dead letters, and the innocent beside it do not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import WorkerLostError
from umbel.message import decode

POD = {"UMBEL_POD_UID": "5d1c3c62-0000-4000-8000-000000000002"}


@pytest.mark.timeout(180)
def test_the_innocent_do_not_die_with_the_guilty(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    innocent = [app.send_task("tests.sample_app.work", (number, 0.2)) for number in range(40)]
    poison = app.send_task("tests.sample_app.kills_worker", priority=6)
    deaths = 0
    while not app.broker.dead("default"):
        # A restarted container of the same pod: it takes over at once what its predecessor held.
        worker = start_worker(redis_server, prefix, environment=POD, concurrency=3)

        def ended(worker: Worker = worker) -> bool:
            return worker.process.poll() is not None or bool(app.broker.dead("default"))

        until(ended, "it dies of the poison, or the poison is dead", 60)
        try:
            worker.process.wait(0.2)
            deaths += 1
        except subprocess.TimeoutExpired:
            pass
        assert deaths < 12, "the guilty one is not found"
    with pytest.raises(WorkerLostError, match="died 3 times"):
        poison.get(timeout=30)
    assert sorted(result.get(timeout=60) for result in innocent) == list(range(40))
    (letter,) = app.broker.dead("default")
    assert decode(letter.payload).headers["id"] == poison.id
    assert 3 <= deaths <= 7
    # The letter tells the whole story: every worker that died with it, in which pod, and that it was alone in three.
    told = letter.reason["deaths"]
    assert len(told) == deaths
    assert {death["pod_uid"] for death in told} == {POD["UMBEL_POD_UID"]}
    assert len({death["worker"] for death in told}) == deaths
    assert [death["charge"] for death in told].count("lost") == 3


@pytest.mark.timeout(180)
def test_two_hundred_innocents_beside_tasks_that_kill_their_child(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    innocent, poison = [], []
    with app.batch():
        for number in range(240):
            innocent.append(app.send_task("tests.sample_app.work", (number, 0.01)))
            if number % 60 == 30:
                poison.append(app.send_task("tests.sample_app.exits"))
    worker = start_worker(redis_server, prefix, concurrency=4)
    for result in poison:
        with pytest.raises(WorkerLostError, match="died 3 times"):
            result.get(timeout=60)
    assert sorted(result.get(timeout=60) for result in innocent) == list(range(240))
    letters = {letter.id: letter for letter in app.dead.find()}
    assert set(letters) == {result.id for result in poison}
    for letter in letters.values():
        assert letter.reason == "MaxDeliveries"
        told = letter.letter.reason["deaths"]
        assert [(death["charge"], death["hostname"]) for death in told] == [("lost", worker.hostname)] * 3
        assert "os._exit" in told[0]["cause"]
        assert len({death["pid"] for death in told}) == 3
    until(lambda: len(worker.events("child.died")) >= 12, "the last death is told, a moment after its task is back")
    assert len(worker.events("child.died")) == 12
