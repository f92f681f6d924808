"""`umbel-operator apply`: what the chart's job runs to create Brokers as soon as the cluster serves them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner
from kubernetes.aio.client import Configuration

from umbel_operator.api.crd import build_crd
from umbel_operator.api.kinds import KINDS
from umbel_operator.cli import main
from umbel_operator.kube import putting
from umbel_operator.kube.access import NotReadyError
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ForbiddenError, GoneError, PermanentError
from umbel_operator.kube.putting import BadFileError, put, read_resources
from umbel_operator.kube.resources import BROKERS, CRDS
from umbel_operator.kube.transport import Transport

SERVED = {"resources": [{"name": kind.plural} for kind in KINDS]}


def broker(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "umbel.dev/v1alpha1",
        "kind": "Broker",
        "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"connection": {"addresses": ["redis:6379"]}},
        **changes,
    }


def written(path: Path, *documents: Any) -> Path:
    file = path / "brokers.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


class Server:
    """An API server that answers by a script: what each next request gets, a body or an error status."""

    def __init__(self, *script: tuple[str, dict[str, Any] | int]) -> None:
        self.script = list(script)
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        method, answer = self.script.pop(0)
        assert request.method == method, self.asked
        if isinstance(answer, int):
            return web.json_response({"kind": "Status", "message": f"no {answer}"}, status=answer)
        return web.json_response(answer)

    def put(self, *resources: dict[str, Any], seconds: float) -> None:
        async def run() -> None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            transport = Transport(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
            try:
                await put(Api(transport), resources, manager="test", seconds=seconds)
            finally:
                await transport.close()
                await runner.cleanup()

        asyncio.run(run())


@pytest.fixture(autouse=True)
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting, "PAUSE", 0.01)


def test_it_waits_until_the_kinds_are_served() -> None:
    """Given CRDs that were created just now, when a Broker is put, then it is tried again until they are served."""
    server = Server(("GET", 404), ("GET", {"resources": []}), ("GET", SERVED), ("PATCH", broker()))
    server.put(broker(), seconds=30)
    path = "/apis/umbel.dev/v1alpha1/namespaces/shop/brokers/default?fieldManager=test&force=true"
    assert server.asked[-1] == f"PATCH {path}"
    assert not server.script


def test_it_waits_for_a_right_that_was_granted_just_now_and_goes_on_where_it_was() -> None:
    second = broker(metadata={"name": "second", "namespace": "shop"})
    script: list[tuple[str, Any]] = [
        ("GET", SERVED),
        ("PATCH", broker()),
        ("PATCH", 403),
        ("GET", SERVED),
        ("PATCH", second),
    ]
    server = Server(*script)
    server.put(broker(), second, seconds=30)
    assert [line.partition("?")[0].rpartition("/")[2] for line in server.asked if "PATCH" in line] == [
        "default",
        "second",
        "second",
    ]


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        ([("GET", 404)], NotReadyError, "The cluster does not know brokers.umbel.dev"),
        ([("GET", SERVED), ("PATCH", 403)], ForbiddenError, "no 403"),
        ([("GET", SERVED), ("PATCH", 404)], GoneError, "patch brokers shop/default: no 404"),
    ],
)
def test_it_says_the_last_reason_when_the_time_is_over(script: list[Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Server(*script).put(broker(), seconds=0)


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    server = Server(("GET", SERVED), ("PATCH", 422))
    with pytest.raises(PermanentError, match="no 422"):
        server.put(broker(), seconds=30)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"apiVersion": "v1", "kind": "Secret"}, "only umbel.dev/v1alpha1 with kind Broker, TaskQueue"),
        ("words", "found 'words'"),
        (broker(metadata={"name": "default"}), "Broker default needs metadata.name and metadata.namespace"),
        (broker(metadata=None), "Broker needs metadata.name and metadata.namespace"),
        (
            broker(spec={"connection": {"adresses": ["redis:6379"]}}),
            "Broker default: spec.connection: unknown field adresses; known here: addresses",
        ),
    ],
)
def test_a_file_with_something_else_is_refused(tmp_path: Path, document: Any, says: str) -> None:
    with pytest.raises(BadFileError) as refusal:
        read_resources(written(tmp_path, broker(), document))
    assert says in str(refusal.value)


def test_empty_documents_are_skipped(tmp_path: Path) -> None:
    assert read_resources(written(tmp_path, None, broker(), None)) == [broker()]


def test_the_command_says_in_one_sentence_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for file, says in ((tmp_path / "none.yaml", "Cannot read"), (written(tmp_path, broker()), "No Kubernetes cluster")):
        result = CliRunner().invoke(main, ["apply", "--filename", str(file)])
        assert result.exit_code == 1
        assert says in result.output
        assert "Traceback" not in result.output


def test_on_an_api_server_a_second_time_changes_the_broker_and_keeps_it(with_api_server: Any) -> None:
    """Given a Broker that was put, when it is put with another address, then it is the same object, changed."""

    async def use(api: Api, namespace: str) -> None:
        for kind in KINDS:
            await api.apply(build_crd(kind), manager="umbel-test")
        meta = {"name": "default", "namespace": namespace}
        await put(api, [broker(metadata=meta)], manager="umbel-chart", seconds=30)
        first = await api.get(BROKERS, namespace, "default")
        changed = {"connection": {"addresses": ["other:6379"]}}
        await put(api, [broker(metadata=meta, spec=changed)], manager="umbel-chart", seconds=30)
        second = await api.get(BROKERS, namespace, "default")
        assert first is not None
        assert second is not None
        assert second["metadata"]["uid"] == first["metadata"]["uid"]
        assert second["spec"]["connection"]["addresses"] == ["other:6379"]
        assert await api.get(CRDS, None, "brokers.umbel.dev") is not None

    with_api_server(use)
