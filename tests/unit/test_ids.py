"""Identifiers are unique, and have the form that is promised."""

from __future__ import annotations

import os
import uuid

import pytest

from umbel import ids


def test_a_task_id_is_a_random_uuid() -> None:
    for _ in range(200):
        parsed = uuid.UUID(text := ids.new_task_id())
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)


@pytest.mark.parametrize("new", [ids.new_task_id, ids.new_nonce, ids.new_client_id, ids.new_owner_id])
def test_no_id_comes_twice(new: object) -> None:
    assert callable(new)
    assert len({new() for _ in range(5000)}) == 5000


def test_a_nonce_has_eight_bytes() -> None:
    assert len(ids.new_nonce()) == 8


@pytest.fixture
def fresh_machine_id() -> object:
    ids.machine_id.cache_clear()
    yield
    ids.machine_id.cache_clear()


@pytest.mark.usefixtures("fresh_machine_id")
def test_in_a_pod_the_machine_is_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_POD_UID", "0b1c2d3e-uid")
    assert ids.machine_id() == "0b1c2d3e-uid"
    assert ids.new_owner_id().startswith(f"0b1c2d3e-uid:{os.getpid()}:")


@pytest.mark.usefixtures("fresh_machine_id")
def test_elsewhere_the_machine_is_host_and_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.ids.socket.gethostname", lambda: "box")
    name = ids.machine_id()
    assert name.startswith("box.")
    assert ids.machine_id() == name


def test_the_owner_tells_its_process() -> None:
    machine, pid, nonce = ids.new_owner_id().rsplit(":", 2)
    assert machine == ids.machine_id()
    assert int(pid) == os.getpid()
    assert len(nonce) == 12


def test_a_forked_process_gets_other_ids() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, f"{ids.new_client_id()} {ids.new_task_id()}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    client, task = os.read(reader, 1000).decode().split()
    os.close(reader)
    os.close(writer)
    assert client.startswith(f"{pid}-")
    assert client != ids.new_client_id()
    assert task != ids.new_task_id()
