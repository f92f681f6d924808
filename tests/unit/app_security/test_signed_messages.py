"""Signed messages: what nobody has signed who is trusted does not run, and whoever waits is told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.signers import DAY, NOW, RSA, Signer
from tests.unit.app_tasks.sent import take_one

from umbel import Task, Umbel, publishing
from umbel import serialization as codecs
from umbel.errors import ContentDisallowed, DecodeError, ImproperlyConfigured, SecurityError
from umbel.message import Message
from umbel.testing import InMemoryWorker


@pytest.mark.parametrize(
    "key",
    [RSA, ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["RSA", "elliptic curve", "Ed25519"],
)
@pytest.mark.parametrize("send", ["delay", "apply_async"])
def test_a_signed_task_runs(signing_app: Callable[..., Umbel], tmp_path: Path, key: Any, send: str) -> None:
    app = signing_app(Signer(tmp_path, "ada", key))
    add = app.tasks["add"]
    result = add.delay(2, 3) if send == "delay" else add.apply_async((2,), {"y": 3}, countdown=0)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 5


def test_compressed_and_of_another_inner_codec(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"), serializer="msgpack")
    app.conf.task_compression = "zlib"
    result = app.tasks["add"].apply_async((b"x" * 5000, b"y"))
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == b"x" * 5000 + b"y"


def test_an_unsigned_message_is_refused(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    result = app.send_task("add", (1,), serializer="json")
    InMemoryWorker(app).run()
    with pytest.raises(ContentDisallowed, match="Only signed messages are taken"):
        result.get(timeout=20)
    (letter,) = app.dead.find()
    assert letter.reason == "ContentDisallowed"


def test_what_is_allowed_by_name_needs_no_signature(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"), allowed_serializers=["json"])
    result = app.send_task("add", (1,), serializer="json")
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 1


def _resend(app: Umbel, **changes: Any) -> Any:
    message = take_one(app)
    headers = {**message.headers, "id": str(uuid.uuid4()), **changes.pop("headers", {})}
    return publishing.publish(app, "default", replace(message, headers=headers, **changes), 0.0)


def _change_last(raw: bytes) -> bytes:
    return raw.replace(b"[[1],{}]", b"[[9],{}]")


def test_a_changed_message_is_refused(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    app.tasks["add"].delay(1)
    message = take_one(app)
    forged = Message(message.headers, _change_last(message.body))
    assert forged.body != message.body
    result = publishing.publish(app, "default", forged, 0.0)
    InMemoryWorker(app).run()
    with pytest.raises(SecurityError, match="its signature is not right"):
        result.get(timeout=20)
    (letter,) = app.dead.find()
    assert letter.reason == "Untrusted"


def test_arguments_signed_for_one_task_cannot_be_handed_to_another(
    signing_app: Callable[..., Umbel], tmp_path: Path
) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    app.tasks["add"].delay(1)
    result = _resend(app, headers={"task": "drop_everything"})
    InMemoryWorker(app).run()
    with pytest.raises(SecurityError, match="signed for 'add'"):
        result.get(timeout=20)


def test_a_stranger_is_refused(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    stranger = signing_app(Signer(tmp_path / "strange", "mallory", rsa.generate_private_key(65537, 2048)))
    result = stranger.tasks["add"].delay(1)
    worker = signing_app(Signer(tmp_path / "known", "ada"))
    InMemoryWorker(worker).run()
    with pytest.raises(SecurityError, match="whose certificate is not in security_cert_store"):
        result.get(timeout=20)


def test_somebody_else_whose_certificate_is_stored_is_trusted(
    signing_app: Callable[..., Umbel], tmp_path: Path
) -> None:
    ada, bob = Signer(tmp_path, "ada"), Signer(tmp_path, "bob", rsa.generate_private_key(65537, 2048))
    result = signing_app(bob).tasks["add"].delay(4)
    InMemoryWorker(signing_app(ada, store=str(tmp_path))).run()
    assert result.get(timeout=20) == 4


def test_a_certificate_that_has_expired_is_not_trusted(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "old", ends=NOW - DAY))
    result = app.tasks["add"].delay(1)
    InMemoryWorker(app).run()
    with pytest.raises(SecurityError, match=r"expired on .*: renew it"):
        result.get(timeout=20)


@pytest.mark.parametrize(
    "raw", [b"", b"UMS", b"UMS2", b"UMS2\xff\xff", b"UMS2\x00\x02", b"UMS2" + b"\x00\x00" * 4, b"UMS1\x00\x00"]
)
def test_rubbish_is_refused(signing_app: Callable[..., Umbel], tmp_path: Path, raw: bytes) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    headers = {"id": "t1", "task": "add", "content_type": codecs.SIGNED}
    result = publishing.publish(app, "default", Message(headers, raw), 0.0)
    InMemoryWorker(app).run()
    with pytest.raises((SecurityError, DecodeError)):
        result.get(timeout=20)


def test_a_retry_with_other_arguments_is_signed_anew(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"))

    @app.task(bind=True, name="again")
    def again(self: Task[..., int], x: int) -> int:
        if self.request.retries:
            return x
        raise self.retry(args=(x + 1,), countdown=0)

    result = again.delay(1)
    InMemoryWorker(app).run(wait=20)
    assert result.get(timeout=20) == 2


def test_a_result_may_be_signed_too(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    app.conf.result_serializer = "auth"
    result = app.tasks["add"].delay(1, 1)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 2


# What is wrong with keys and certificates is said at once


def test_the_settings_name_the_files(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    ada = Signer(tmp_path, "ada", password=b"secret")
    app = signing_app()
    app.conf.update(
        security_key=str(ada.key_file),
        security_key_password="secret",
        security_certificate=str(ada.cert_file),
        security_cert_store=str(tmp_path),
        security_digest="sha512",
    )
    app.setup_security()
    assert (app.conf.task_serializer, app.conf.accept_content) == ("auth", ("auth",))
    app.prepare_worker()
    result = app.tasks["add"].delay(1)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 1
    assert "secret" not in app.conf.humanize()


def test_missing_files_are_named(signing_app: Callable[..., Umbel]) -> None:
    with pytest.raises(ImproperlyConfigured, match="needs security_key, security_certificate, security_cert_store"):
        signing_app().setup_security()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": "nowhere.key"}, "the file nowhere.key cannot be read"),
        ({"key_password": "wrong"}, "is security_key_password right"),
        ({"cert": "other.pem"}, "is not that of the key"),
        ({"cert": "ada.key"}, "is no certificate"),
        ({"store": "nothing-here/*.pem"}, "where no certificate is"),
        ({"digest": "md5"}, "security_digest cannot be 'md5'"),
        ({"serializer": "xml"}, "no serializer is called 'xml'"),
    ],
)
def test_what_is_wrong_is_said(
    signing_app: Callable[..., Umbel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ada = Signer(tmp_path, "ada")
    Signer(tmp_path, "other", rsa.generate_private_key(65537, 2048))
    given = {"key": str(ada.key_file), "cert": str(ada.cert_file), "store": str(tmp_path)}
    with pytest.raises(ImproperlyConfigured, match=said):
        signing_app().setup_security(**{**given, **wrong})
