"""What the command says when the operator cannot start: one sentence, no traceback."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner

from umbel_operator.build.settings import Settings
from umbel_operator.cli import _without_gone, main
from umbel_operator.kube.access import NotReadyError, Right
from umbel_operator.runtime.app import Options

RUN = ["run", "--beat-image", "umbel:test", "--health-port", "0"]


@pytest.fixture(autouse=True)
def outside_of_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*RUN, *arguments])
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    return result.output


def kubeconfig(path: Path, server: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (path / "config").write_text(yaml.safe_dump(config))
    return str(path / "config")


@pytest.mark.parametrize("arguments", [[], ["-A", "--namespace", "shop"]])
def test_it_must_be_said_which_namespaces_are_served(arguments: list[str]) -> None:
    assert "either --namespace NAME (repeatedly) or -A for all" in said(*arguments)


def test_a_pattern_is_no_namespace() -> None:
    assert "'shop-*' is no name of a namespace" in said("--namespace", "shop-*")


def test_no_cluster_is_configured() -> None:
    output = said("-A")
    assert output.startswith("umbel-operator: No Kubernetes cluster is configured")
    assert "Set KUBECONFIG to a kubeconfig file." in output


@pytest.mark.parametrize("content", [None, "{}", "not: [yaml"])
def test_a_kubeconfig_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert f"Cannot read KUBECONFIG={path}" in said("-A")


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, "http://127.0.0.1:1"))
    output = said("-A")
    assert "No cluster is reachable" in output
    assert "http://127.0.0.1:1" in output


def served(script: Callable[[str, Any], dict[str, Any] | int], tmp_path: Path, *arguments: str) -> str:
    """Run the command in a process of its own against a server that answers by a script."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        answer = script(request.path, body)
        if isinstance(answer, int):
            return web.json_response({"kind": "Status", "message": "no"}, status=answer)
        return web.json_response(answer)

    async def run() -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from umbel_operator.cli import main; main()",
            *RUN,
            *arguments,
            env={"PATH": "/usr/bin:/bin", "KUBECONFIG": config, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(), 90)
        await runner.cleanup()
        assert process.returncode == 1
        return err.decode()

    return asyncio.run(run())


KINDS = {"resources": [{"name": name} for name in ("brokers", "taskqueues", "workerpools", "schedules")]}


def test_kinds_that_are_not_installed_are_named_with_the_remedy(tmp_path: Path) -> None:
    def script(path: str, body: Any) -> dict[str, Any] | int:
        return {"gitVersion": "v1.34.0"} if path == "/version" else 404

    output = served(script, tmp_path, "-A")
    assert "The cluster does not know brokers.umbel.dev, taskqueues.umbel.dev" in output
    assert "kubectl apply --server-side -f crds/" in output
    assert "Traceback" not in output


def test_rights_that_are_missing_are_named_in_one_line(tmp_path: Path) -> None:
    def script(path: str, body: Any) -> dict[str, Any] | int:
        if path == "/version":
            return {"gitVersion": "v1.34.0"}
        if path.startswith("/apis/umbel.dev"):
            return KINDS
        asked = body["spec"]["resourceAttributes"]
        assert asked.get("namespace") == (None if asked["resource"] == "nodes" else "shop")
        refused = {("pods", "watch"), ("pods", "patch"), ("nodes", "watch")}
        return {"status": {"allowed": (asked["resource"], asked["verb"]) not in refused}}

    output = served(script, tmp_path, "--namespace", "shop")
    (line,) = [line for line in output.splitlines() if "may not" in line]
    assert "may not: watch/patch pods in shop. Grant these" in line
    assert "nodes_not_watched" in output, "it can do without"
    assert "Traceback" not in output


def options(*namespaces: str) -> Options:
    return Options(
        namespaces=namespaces or None,
        beat_via="service",
        health_port=None,
        operator_class="",
        instance="test",
        version="0",
        settings=Settings(beat_image="umbel:test"),
    )


def lacks(namespace: str | None, *rights: str) -> list[Right]:
    return [Right("umbel.dev", "brokers", verb, namespace) for verb in rights]


def test_a_namespace_that_has_gone_does_not_keep_the_operator_from_the_others() -> None:
    kept = _without_gone(options("shop", "gone"), lacks("gone", "get", "list", "watch", "patch"))
    assert kept.namespaces == ("shop",)


@pytest.mark.parametrize(
    ("namespaces", "missing"),
    [
        (("gone",), lacks("gone", "get", "list", "watch", "patch")),
        (("shop", "half"), lacks("half", "patch")),
        ((), lacks(None, "list")),
    ],
    ids=["the only one", "some rights", "all namespaces"],
)
def test_what_cannot_be_left_out_ends_the_start(namespaces: tuple[str, ...], missing: list[Right]) -> None:
    with pytest.raises(NotReadyError, match=r"may not: .*brokers\.umbel\.dev"):
        _without_gone(options(*namespaces), missing)


def test_with_all_rights_nothing_is_left_out() -> None:
    assert _without_gone(options("shop", "other"), []) == options("shop", "other")


def test_monitors_are_left_out_where_the_cluster_does_not_know_them(tmp_path: Path) -> None:
    """Given --monitors and no Prometheus operator, then the log says so, and no right to monitors is asked for."""
    asked: list[str] = []

    def script(path: str, body: Any) -> dict[str, Any] | int:
        if path == "/version":
            return {"gitVersion": "v1.34.0"}
        if path.startswith("/apis/umbel.dev"):
            return KINDS
        if path.startswith("/apis/monitoring.coreos.com"):
            return {"resources": [{"name": "servicemonitors"}]}
        asked.append(body["spec"]["resourceAttributes"]["resource"])
        return {"status": {"allowed": asked[-1] != "pods"}}

    output = served(script, tmp_path, "--namespace", "shop", "--monitors")
    assert "The cluster does not know podmonitors.monitoring.coreos.com: install the Prometheus operator" in output
    assert "deployments" in asked
    assert not {"servicemonitors", "podmonitors", "networkpolicies"} & set(asked)


@pytest.mark.parametrize(("text", "says"), [("{", "is no JSON"), ("[1]", "is no JSON object; write {...}")])
def test_a_security_context_is_an_object(text: str, says: str) -> None:
    done = CliRunner().invoke(main, [*RUN, "-A", "--worker-security-context", text])
    assert done.exit_code == 2
    assert says in done.output


@pytest.mark.parametrize("text", ["release", "=prometheus"])
def test_a_label_of_monitors_has_a_name_and_a_value(text: str) -> None:
    done = CliRunner().invoke(main, [*RUN, "-A", "--monitors", "--monitor-label", text])
    assert done.exit_code == 2
    assert f"{text!r} is no label; write NAME=VALUE" in done.output
