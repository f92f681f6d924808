"""The operator's probes, logs and the pace of its status writes."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from umbel_operator.kube.access import NotReadyError
from umbel_operator.kube.errors import TemporaryError
from umbel_operator.runtime import probes
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.logs import Sparse, configure
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.probes import Health, ProbeServer
from umbel_operator.runtime.statuswriter import REFRESH_BURST, REFRESH_PERIOD, Pace


def asked(health: Health) -> dict[str, tuple[int, str]]:
    """Ask a real server for all that it serves."""

    async def run() -> dict[str, tuple[int, str]]:
        server = ProbeServer(health, Metrics("1.2.3"), 0, "127.0.0.1")
        port = await server.start()
        answers = {}
        try:
            async with aiohttp.ClientSession() as session:
                for path in ("livez", "readyz", "metrics"):
                    async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                        answers[path] = (answer.status, await answer.text())
        finally:
            await server.stop()
        return answers

    return asyncio.run(run())


async def answers() -> str:
    return "v1.34.0"


def fails_with(error: Exception) -> Callable[[], Awaitable[str]]:
    async def ping() -> str:
        raise error

    return ping


def test_all_is_well() -> None:
    found = asked(Health(answers, lambda: ""))
    assert found["livez"] == (200, "ok\n")
    assert found["readyz"] == (200, "ok\n")
    assert 'umbel_operator_build_info{version="1.2.3"} 1.0' in found["metrics"][1]


def test_it_is_not_ready_before_every_kind_was_listed() -> None:
    found = asked(Health(answers, lambda: "not listed yet: brokers"))
    assert found["readyz"] == (503, "not listed yet: brokers\n")
    assert found["livez"][0] == 200


@pytest.mark.parametrize("error", [TemporaryError("refused"), NotReadyError("refused"), TimeoutError("refused")])
def test_it_is_not_ready_but_alive_while_the_api_server_is_silent(error: Exception) -> None:
    found = asked(Health(fails_with(error), lambda: ""))
    assert found["readyz"] == (503, "the API server does not answer: refused\n")
    assert found["livez"][0] == 200


def test_a_fresh_answer_saves_the_ping() -> None:
    health = Health(fails_with(AssertionError("pinged")), lambda: "")
    health.answered()
    assert asked(health)["readyz"][0] == 200


def test_work_that_never_ends_is_told_by_livez(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health(answers, lambda: "")
    health.begin("Broker shop/default")
    assert health.stuck() == ""
    monkeypatch.setattr(probes, "STUCK_AFTER", -1.0)
    assert asked(health)["livez"] == (503, "in work for more than -1 s: Broker shop/default\n")
    health.end("Broker shop/default")
    assert asked(health)["livez"][0] == 200


def test_numbers_are_written_every_half_minute_and_ten_a_second() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    keys = [Key("Schedule", "shop", str(n)) for n in range(int(REFRESH_BURST) + 1)]
    for key in keys[:-1]:
        assert pace.wait(key) == 0.0
        pace.written(key)
    assert pace.wait(keys[-1]) == pytest.approx(0.1)
    now = 0.1
    assert pace.wait(keys[-1]) == 0.0
    assert pace.wait(keys[0]) == pytest.approx(REFRESH_PERIOD - 0.1)
    now = REFRESH_PERIOD
    assert pace.wait(keys[0]) == 0.0


def test_with_thousands_of_resources_each_is_refreshed_less_often() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    keys = [Key("Schedule", "shop", str(n)) for n in range(5000)]
    for key in keys:
        pace.written(key)
    now = 499.0
    assert pace.wait(keys[0]) == pytest.approx(1.0)
    for key in keys[1:]:
        pace.forget(key)
    assert pace.wait(keys[0]) == 0.0


def test_log_lines_are_json_with_an_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("json")
        logging.getLogger("umbel_operator.test").warning("applied", extra={"object": "Deployment shop/mail-worker"})
        line = json.loads(capsys.readouterr().err)
        configure("text")
        logging.getLogger("umbel_operator.test").info("applied", extra={"object": "Deployment shop/mail-worker"})
        text = capsys.readouterr().err
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert (line["event"], line["level"], line["object"]) == ("applied", "warning", "Deployment shop/mail-worker")
    assert text.rstrip().endswith("info    applied object=Deployment shop/mail-worker")


def test_failing_watches_write_one_line_a_minute() -> None:
    now = 0.0
    sparse = Sparse(lambda: now)

    def passes(name: str = "kopf._cogs.clients.api", message: str = "Request attempt #1/10 failed") -> bool:
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, None, None)
        return bool(sparse.filter(record))

    retried = logging.makeLogRecord(
        {
            "name": "kopf._cogs.clients.api",
            "levelno": logging.ERROR,
            "msg": "Request attempt #1/10 failed; will retry: GET x",
        }
    )
    assert sparse.filter(retried)
    assert (retried.levelno, retried.levelname) == (logging.WARNING, "WARNING")
    now = 60.5
    assert [passes() for _ in range(3)] == [True, False, False]
    assert passes(message="something else")
    assert passes(name="umbel_operator.runtime.app")
    now = 121.0
    assert passes()
