"""From the container of a pod to a command, its variables and its files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.operator.resources import SETTINGS, broker, pool

from umbel_operator.build.broker import build_beat_deployment
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.local.container import Command, Surroundings, Unrunnable, make_command
from umbel_operator.local.volumes import write_files
from umbel_operator.plan.model import Manifest

URL = "redis://127.0.0.1:6400/0"
FOLDER = Path("/run/pod")
DATA = {
    ("ConfigMap", "shop"): {"kind": "ConfigMap", "data": {"color": "green"}},
    ("Secret", "keys"): {"kind": "Secret", "data": {"token": "czNjcjN0"}, "stringData": {"plain": "x"}},
    ("ConfigMap", "default-config-index"): {"kind": "ConfigMap", "data": {"index.json": "{}"}},
}


def command(deployment: Manifest, name: str = "worker", **environment: str) -> Command:
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "mailers-worker-1", "namespace": "shop", "uid": "u1"}
    pod = {"metadata": metadata, "spec": template["spec"]}
    around = Surroundings(
        port=40001,
        folder=FOLDER,
        broker_url=URL,
        environment=environment,
        lookup=lambda kind, name: DATA.get((kind, name)),
    )
    return make_command(pod, name, around)


def worker(**spec: Any) -> Manifest:
    return build_worker_deployment(pool(**spec), broker(), [("mail", 1)])


def container(**changes: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "worker", **changes}]}}


def test_a_worker_is_this_python_with_a_port_of_its_own_and_tells_of_each_task() -> None:
    found = command(worker())
    assert found.argv[:3] == (sys.executable, "-m", "umbel")
    assert " ".join(found.argv[3:]) == (
        "-A shop.tasks worker --queues mail --concurrency 1 --health-port 40001 --loglevel DEBUG"
    )
    assert found.environment["UMBEL_HEALTH_PORT"] == "40001"
    assert found.environment["UMBEL_LOG_FORMAT"] == "json"
    assert found.json_logs


def test_identity_address_and_temporary_folder_are_those_of_the_pod() -> None:
    found = command(worker(), UMBEL_BROKER_URL="redis://elsewhere", UMBEL_APP="other", HOME="/home/me", PATH="/bin")
    seen = found.environment
    assert (seen["UMBEL_POD_UID"], seen["UMBEL_POD_NAME"], seen["UMBEL_NAMESPACE"]) == (
        "u1",
        "mailers-worker-1",
        "shop",
    )
    assert (seen["UMBEL_BROKER_URL"], seen["UMBEL_POOL"]) == (URL, "mailers")
    assert (seen["HOME"], seen["TMPDIR"]) == ("/home/me", "/run/pod/tmp")
    assert seen["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert "UMBEL_APP" not in seen


def test_beat_finds_its_configuration_in_a_folder_of_the_pod() -> None:
    found = command(build_beat_deployment(broker(), 1, SETTINGS), "beat")
    folder = FOLDER / "umbel-config"
    assert found.argv[3:6] == ("beat", "--config-dir", str(folder))
    assert found.argv[found.argv.index("--port") + 1] == "40001"
    assert found.volumes[folder] == {"index.json": b"{}"}


def test_variables_come_from_fields_maps_and_secrets_and_refer_to_each_other() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(UMBEL_POOL)-$(NONE)-$$(A)"},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['umbel.dev/pool']"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
    ]
    found = command(worker(env=env, envFrom=[{"configMapRef": {"name": "shop"}, "prefix": "SHOP_"}])).environment
    assert found["B"] == "1-mailers-$(NONE)-$(A)"
    assert (found["LABEL"], found["TOKEN"], found["SHOP_color"]) == ("mailers", "s3cr3t", "green")
    assert "MAYBE" not in found


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'Secret "none" is in none of the files'),
        (
            {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "shop", "key": "size"}}}]},
            'ConfigMap "shop" has no key "size"',
        ),
        ({"template": container(command=None)}, "the container has no command"),
    ],
)
def test_what_a_pod_needs_and_nobody_declares_keeps_it_from_starting(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(Unrunnable, match=says):
        command(worker(**spec))


def test_paths_of_mounts_lead_into_the_folder_and_other_programs_run_as_they_are() -> None:
    template = container(
        command=["sh", "-c"],
        args=["exec /data/run", "/data/sub/x", "/database"],
        env=[{"name": "D", "value": "/data"}],
        volumeMounts=[{"name": "data", "mountPath": "/data/"}, {"name": "disk", "mountPath": "/disk"}],
    )
    template["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}, {"name": "disk", "hostPath": {"path": "/"}}]
    template["spec"]["containers"].append({"name": "proxy", "image": "p"})
    found = command(worker(template=template))
    assert found.argv == ("sh", "-c", "exec /data/run", "/run/pod/data/sub/x", "/database")
    assert found.environment["D"] == "/run/pod/data"
    assert found.notes == (
        "container proxy is not run here",
        "volume disk (/disk) is of a type that there is only in a cluster",
    )


def test_a_log_format_that_the_pool_chooses_is_kept() -> None:
    found = command(worker(env=[{"name": "UMBEL_LOG_FORMAT", "value": "text"}]))
    assert not found.json_logs
    assert "INFO" in found.argv


def test_the_files_of_a_volume_change_at_once_and_leave_nothing_old(tmp_path: Path) -> None:
    """Given a volume, when its files change, then the link of all of them is exchanged, as the kubelet does."""
    assert write_files(tmp_path, {"a": b"1", "b/c": b"2"})
    assert not write_files(tmp_path, {"a": b"1", "b/c": b"2"})
    before = (tmp_path / "..data").readlink()

    assert write_files(tmp_path, {"a": b"3", "d": b"4"})
    assert (tmp_path / "..data").readlink() != before
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..")) == ["a", "d"]
    assert len([p for p in tmp_path.iterdir() if p.is_dir() and not p.is_symlink()]) == 1
