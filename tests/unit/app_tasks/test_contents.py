"""What a call's arguments travel as, and what a worker refuses to read: on the memory and on Redis."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.unit.app_tasks.sent import take_one

from umbel import Task, Umbel, publishing, serialization
from umbel.errors import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from umbel.testing import InMemoryWorker

TEXT = "the same again " * 500


@pytest.fixture(params=["memory", "redis"])
def contents_app(request: pytest.FixtureRequest, prefix: str) -> Iterator[Umbel]:
    if request.param == "memory":
        url = f"memory://{uuid.uuid4().hex}"
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    with Umbel("contents", broker=url, key_prefix=prefix, set_as_current=False) as app:
        yield app


@pytest.fixture(autouse=True)
def forget_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "_reads_pickle", [])


def make_echo(app: Umbel, **options: Any) -> Any:
    def echo(value: object, **named: object) -> object:
        return [type(value).__name__, named]

    return app.task(name="echo", **options)(echo)


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml", "pickle"])
@pytest.mark.parametrize("where", ["setting", "task", "call"])
def test_a_serializer_is_named_by_setting_task_or_call(contents_app: Umbel, name: str, where: str) -> None:
    app = contents_app
    app.conf.accept_content = ["json", name]
    if where == "setting":
        app.conf.task_serializer = name
    echo = make_echo(app, **({"serializer": name} if where == "task" else {}))
    result = echo.apply_async((b"x",), {"n": 1}, **({"serializer": name} if where == "call" else {}))
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == ["bytes", {"n": 1}]


def test_delay_takes_the_settings_serializer_too(contents_app: Umbel) -> None:
    contents_app.conf.update(task_serializer="msgpack", accept_content=["msgpack"])
    make_echo(contents_app).delay(b"x")
    message = take_one(contents_app)
    assert message.headers["content_type"] == "application/x-msgpack"
    assert b"\xc4\x01x" in message.body  # bytes travel as they are


@pytest.mark.parametrize("name", ["msgpack", "yaml", "pickle"])
def test_what_is_not_listed_goes_to_the_dead_letters_and_the_waiter_is_told(contents_app: Umbel, name: str) -> None:
    app = contents_app
    ran: list[object] = []

    @app.task
    def touch(value: object) -> None:
        ran.append(value)

    result = touch.apply_async((1,), serializer=name)
    InMemoryWorker(app).run()
    with pytest.raises(ContentDisallowed, match=r"accept_content is \['json'\]"):
        result.get(timeout=20)
    assert not ran
    (letter,) = app.dead.find()
    assert letter.reason == "ContentDisallowed"
    assert not serialization._reads_pickle


def test_json_is_refused_where_it_is_not_listed(contents_app: Umbel) -> None:
    app = contents_app
    app.conf.accept_content = ["msgpack"]
    result = make_echo(app).delay(1)
    InMemoryWorker(app).run()
    with pytest.raises(ContentDisallowed, match="'application/json' is not accepted"):
        result.get(timeout=20)


def test_a_content_type_can_be_listed_by_itself(contents_app: Umbel) -> None:
    contents_app.conf.accept_content = ["application/x-msgpack"]
    result = make_echo(contents_app, serializer="msgpack").delay(1)
    InMemoryWorker(contents_app).run()
    assert result.get(timeout=20) == ["int", {}]


def test_the_key_of_a_limit_reads_nothing_that_is_refused(contents_app: Umbel) -> None:
    """A limit looks at the arguments before the task runs: what is not accepted must not be read there either."""
    ran: list[str] = []

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return ran.append, ("exploded",)

    @contents_app.task(concurrency_limit=1, key="user")
    def limited(user: object) -> None: ...

    result = limited.apply_async((Bomb(),), serializer="pickle")
    ran.clear()
    InMemoryWorker(contents_app).run()
    with pytest.raises(ContentDisallowed):
        result.get(timeout=20)
    assert not ran


@pytest.mark.parametrize("name", ["zlib", "bzip2", "lzma", "zstd", "brotli"])
@pytest.mark.parametrize("where", ["setting", "task", "call"])
def test_arguments_are_compressed_by_setting_task_or_call(contents_app: Umbel, name: str, where: str) -> None:
    app = contents_app
    if where == "setting":
        app.conf.task_compression = name
    echo = make_echo(app, **({"compression": name} if where == "task" else {}))
    call = {"compression": name} if where == "call" else {}
    echo.delay(TEXT) if where != "call" else echo.apply_async((TEXT,), **call)
    message = take_one(app)
    assert message.headers["compression"] == name
    assert len(message.body) < len(TEXT) / 10
    result = echo.apply_async((TEXT,), **call)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == ["str", {}]


def test_a_retry_with_other_arguments_keeps_codec_and_compression(contents_app: Umbel) -> None:
    app = contents_app
    app.conf.accept_content = ["json", "msgpack"]
    seen: list[tuple[str, str, str]] = []

    @app.task(bind=True, serializer="msgpack", compression="zlib", max_retries=1)
    def again(self: Task[..., None], text: str) -> None:
        headers = self.request.message.headers
        seen.append((text[-1], headers["content_type"], headers["compression"]))
        self.retry(args=(TEXT + "2",), countdown=0, exc=ValueError("enough"))

    again.delay(TEXT + "1")
    InMemoryWorker(app).run(wait=20)
    assert seen == [("1", "application/x-msgpack", "zlib"), ("2", "application/x-msgpack", "zlib")]


def test_result_extended_shows_compressed_arguments(contents_app: Umbel) -> None:
    contents_app.conf.update(result_extended=True, task_compression="zlib")
    result = make_echo(contents_app).delay(TEXT)
    InMemoryWorker(contents_app).run()
    result.get(timeout=20)
    assert result.args == [TEXT]


def test_a_body_that_does_not_unpack_is_a_dead_letter(contents_app: Umbel) -> None:
    from umbel.message import Message

    make_echo(contents_app)
    broken = Message({"id": "t1", "task": "echo", "compression": "zlib"}, b"no zlib")
    result = publishing.publish(contents_app, "default", broken, 0.0)
    InMemoryWorker(contents_app).run()
    with pytest.raises(DecodeError, match="not valid for the compression 'zlib'"):
        result.get(timeout=20)


def test_arguments_that_unpack_to_too_much_are_a_dead_letter(contents_app: Umbel) -> None:
    from umbel.control.taskinfo import task_info

    app = contents_app
    result = make_echo(app).apply_async(("x" * 100_000,), compression="zlib")
    message = take_one(app)
    assert "not shown: unpacked they take more than 16,384 bytes" in task_info(message.encode(), "default")["error"]
    app.conf.decompressed_max_size = 10_000
    publishing.publish(app, "default", message, 0.0)
    InMemoryWorker(app).run()
    with pytest.raises(DecodeError, match=r"are more than the 10,000 bytes that decompressed_max_size allows"):
        result.get(timeout=20)
    (letter,) = app.dead.find()
    assert letter.reason == "Unreadable"


def test_too_much_is_refused_where_it_is_sent_or_returned(contents_app: Umbel) -> None:
    app = contents_app
    app.conf.update(decompressed_max_size=10_000, result_compression="zlib")

    @app.task
    def much(count: int) -> str:
        return "x" * count

    with pytest.raises(EncodeError, match=r"echo: an argument takes, with the others, 100,00\d bytes"):
        make_echo(app).apply_async(("x" * 100_000,), compression="zlib")
    results = [much.delay(count) for count in (9_000, 11_000)]
    InMemoryWorker(app).run()
    assert len(results[0].get(timeout=20)) == 9_000
    with pytest.raises(EncodeError, match="returned a value whose 11,002 bytes are more than the 10,000"):
        results[1].get(timeout=20)


def test_an_argument_that_cannot_be_carried_is_named(contents_app: Umbel) -> None:
    echo = make_echo(contents_app)
    with pytest.raises(EncodeError, match=r"echo: argument 1 \('value'\)"):
        echo.apply_async((object,), serializer="msgpack")


def test_eager_tasks_refuse_what_a_worker_would(contents_app: Umbel) -> None:
    contents_app.conf.task_always_eager = True
    with pytest.raises(ContentDisallowed):
        make_echo(contents_app, serializer="yaml").delay(1).get()


# Results


@pytest.mark.parametrize("name", ["zlib", "bzip2", "lzma", "zstd", "brotli"])
def test_results_are_compressed(contents_app: Umbel, name: str) -> None:
    app = contents_app
    app.conf.result_compression = name

    @app.task
    def write(times: int) -> str:
        return TEXT * times

    large, small = write.delay(1), write.delay(0)
    InMemoryWorker(app).run()
    assert (large.get(timeout=20), small.get(timeout=20)) == (TEXT, "")
    record = app.results.get(large.id)
    assert record is not None
    assert record.meta["compression"] == name
    assert len(record.value) < len(TEXT) / 10
    assert "compression" not in app.results.get(small.id).meta
    assert app.AsyncResult(large.id).result == TEXT


@pytest.mark.parametrize("name", ["msgpack", "yaml", "pickle"])
def test_results_that_are_not_accepted_are_not_read(contents_app: Umbel, name: str) -> None:
    app = contents_app
    app.conf.result_serializer = name
    result = make_echo(app).delay(1)
    InMemoryWorker(app).run()
    with pytest.raises(ContentDisallowed, match="accept_content is"):
        result.get(timeout=20)
    app.conf.result_accept_content = ["json", name]
    assert app.AsyncResult(result.id).get(timeout=20) == ["int", {}]


# What a worker says at its start


def test_a_worker_that_would_refuse_its_own_tasks_does_not_start() -> None:
    app = Umbel("own", set_as_current=False, task_serializer="yaml")
    with pytest.raises(ImproperlyConfigured, match="add it to accept_content"):
        app.prepare_worker()


def test_an_unknown_serializer_is_found_at_the_start() -> None:
    app = Umbel("unknown", set_as_current=False, accept_content=["json", "jsno"])
    with pytest.raises(ImproperlyConfigured, match="no serializer is called 'jsno'"):
        app.prepare_worker()


def test_a_worker_that_accepts_pickle_says_what_that_means(caplog: pytest.LogCaptureFixture) -> None:
    app = Umbel("trusting", set_as_current=False, accept_content=["json", "pickle"])
    with caplog.at_level(logging.WARNING, "umbel.worker"):
        app.prepare_worker()
    (record,) = caplog.records
    assert record.message == "worker.accepts_pickle"
    assert "can run any code" in record.why  # type: ignore[attr-defined]


def test_a_worker_that_accepts_json_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "umbel.worker"):
        Umbel("plain", set_as_current=False).prepare_worker()
    assert not caplog.records
