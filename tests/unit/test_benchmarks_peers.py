"""Every peer's folder is complete, pinned, and readable without the peer's own libraries."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from benchmarks.adapter import AsyncProducer, Peer, Place, Producer, Role, several
from benchmarks.cli import known_peers, parse
from benchmarks.environment import PEERS, ROOT
from benchmarks.producer import check_stored, enqueue, enqueue_in_bulk, feed, load_peer, round_trips, wait_for_many
from tests.workers import until


@pytest.mark.parametrize("name", known_peers())
def test_a_peer_is_whole(name: str) -> None:
    assert isinstance(load_peer(name), Peer)
    assert (PEERS / name / "tasks.py").is_file()
    assert load_peer(name).recovery or load_peer(name).cannot["recovery"]
    requirements = (PEERS / name / "requirements.txt").read_text().split("\n")
    assert all("==" in line or line in ("", "-e .") for line in requirements)


@pytest.mark.parametrize("name", known_peers())
def test_an_adapter_imports_without_anything_installed(name: str) -> None:
    program = f"import benchmarks.peers.{name}.adapter, benchmarks.producer"
    subprocess.run([sys.executable, "-S", "-c", program], env={"PYTHONPATH": str(ROOT)}, check=True)


def test_the_columns_are_peers_then_ours_then_the_yardstick() -> None:
    roles = [load_peer(name).role for name in known_peers()]

    assert roles == sorted(roles, key=list(Role).index)


def test_a_place_survives_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("redis://127.0.0.1:1/0", Path("/nowhere"), 2, waits_for_results=True, must_recover=True)
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)

    assert Place.from_environment() == place


def test_an_unknown_peer_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--peers", "celery,sellery"])

    assert ended.value.code == 2
    assert "'sellery' is none of celery," in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--tasks", "--trips"])
def test_nothing_is_measured_zero_times(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([option, "0"])

    assert "0 is not a positive number" in capsys.readouterr().err


class Recording(Producer):
    """A producer that notes what it was asked to send and can store a wrong result."""

    def __init__(self, *, wrong: bool = False) -> None:
        self.sent: list[int] = []
        self.calls = 0
        self._wrong = wrong

    def send(self, task: str, number: int) -> str:
        self.sent.append(number)
        return f"id-{number}"

    def send_many(self, task: str, numbers: Sequence[int]) -> list[str]:
        self.calls += 1
        return [self.send(task, number) for number in numbers]

    def round_trip(self, number: int, timeout: float) -> object:
        return None if self._wrong else number

    def stored(self, task_id: str) -> object:
        return None if self._wrong else int(task_id.removeprefix("id-"))

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> list[object]:
        waiting()
        return [self.round_trip(number, timeout) for number in numbers]


class RecordingSoon(AsyncProducer):
    """The same for asyncio; notes in which loop it was asked."""

    def __init__(self) -> None:
        self.loops: set[object] = set()
        super().__init__()

    async def send_soon(self, task: str, number: int) -> str:
        self.loops.add(asyncio.get_running_loop())
        return f"id-{number}"

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        return number

    async def stored_soon(self, task_id: str) -> object:
        return int(task_id.removeprefix("id-"))

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> list[object]:
        waiting()
        return list(numbers)


def test_a_preload_sends_each_number_once() -> None:
    one_by_one, bulk = Recording(), Recording()
    figures = enqueue(one_by_one, "noop", tasks=1234, seconds=0.0, warm_up=0)
    bulk_figures = enqueue_in_bulk(bulk, "noop", tasks=1234, seconds=0.0, size=1000)

    assert figures["sent"] == bulk_figures["sent"] == 1234
    assert one_by_one.sent == bulk.sent == list(range(1234))
    assert bulk.calls == 2
    assert figures["samples"][1233] == "id-1233"
    assert len(figures["samples"]) >= 50


def test_sending_for_a_time_ends_and_leaves_the_warm_up_out() -> None:
    producer = Recording()
    figures = enqueue(producer, "noop", tasks=None, seconds=0.5, warm_up=20)

    assert figures["sent"] == len(producer.sent) > 20
    # The clock runs on while the last call is under way: never more than the time that was asked for allows.
    assert 0 < figures["rate"] <= (figures["sent"] - 20) / 0.5


def test_a_wrong_result_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="argument 0 came back as None"):
        round_trips(Recording(wrong=True), count=1, warm_up=0, seconds=9.0)
    with pytest.raises(RuntimeError, match="stored result of task id-7 is None and not 7"):
        check_stored(Recording(wrong=True), samples={"7": "id-7"})

    assert len(round_trips(Recording(), count=3, warm_up=2, seconds=9.0)["trips"]) == 3
    assert check_stored(Recording(), samples={"7": "id-7"}) == {"checked": 1}


def test_a_peer_for_asyncio_sends_a_series_in_one_loop() -> None:
    producer = RecordingSoon()
    figures = enqueue(producer, "noop", tasks=30, seconds=0.0, warm_up=10)

    assert figures["sent"] == 30
    assert len(producer.loops) == 1
    assert round_trips(producer, count=3, warm_up=0, seconds=9.0)["trips"]
    producer.close()


def test_long_round_trips_end_after_a_while() -> None:
    assert 20 < len(round_trips(Recording(), count=10_000, warm_up=0, seconds=0.01)["trips"]) < 10_000


def test_waiting_for_many_says_when_it_waits_and_checks_what_came(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    assert wait_for_many(Recording(), 20, str(ready), 9.0)["ended"] > 0
    assert ready.exists()
    with pytest.raises(RuntimeError, match="others came back"):
        wait_for_many(Recording(wrong=True), 20, str(ready), 9.0)


def test_feeding_ends_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    producer = Recording()

    assert feed(producer, str(tmp_path / "stop"), 30.0) == {"sent": 0}
    assert feed(producer, str(tmp_path / "never"), 0.5)["sent"] == len(producer.sent) > 0


def test_several_processes_are_one_command_that_ends_by_sigterm(tmp_path: Path) -> None:
    program = "import pathlib, os, time; pathlib.Path(str(os.getpid())).touch(); time.sleep(60)"
    process = subprocess.Popen(several(3, sys.executable, "-c", program), cwd=tmp_path, start_new_session=True)
    until(lambda: len(list(tmp_path.iterdir())) == 3, "three processes")
    process.terminate()
    process.wait(60)

    until(lambda: not any(Path("/proc", path.name).exists() for path in tmp_path.iterdir()), "all have ended")
