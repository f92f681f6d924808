"""The API client against an HTTP server that answers as told."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import AlreadyExistsError, ConflictError, TemporaryError
from umbel_operator.kube.resources import DEPLOYMENTS, SCHEDULES, WORKERPOOLS
from umbel_operator.kube.transport import Transport

Script = Callable[[web.Request, bytes], web.Response]


class Server:
    """Answer each request by a script and keep what was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, str, dict[str, str], str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        content = json.loads(body) if body else None
        self.asked.append((request.method, request.path, dict(request.query), request.content_type, content))
        return self.script(request, body)


def against(script: Script, use: Callable[[Api, Server], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        server = Server(script)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        transport = Transport(configuration(url), **{k: v(url) if k == "reload" else v for k, v in options.items()})
        transport._loaded_at -= 11
        try:
            await use(Api(transport), server)
        finally:
            await transport.close()
            await runner.cleanup()

    asyncio.run(run())


def configuration(url: str, token: str = "stale") -> Configuration:
    settings = Configuration(host=url)
    settings.api_key["BearerToken"] = f"Bearer {token}"
    return settings


def deployment() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mail-worker", "namespace": "shop"},
        "spec": {"replicas": 1},
    }


def answer(status: int, body: dict[str, Any] | None = None, **headers: str) -> web.Response:
    return web.json_response(body or {}, status=status, headers=headers)


def test_an_apply_takes_fields_by_force_under_our_name() -> None:
    async def use(api: Api, server: Server) -> None:
        await api.apply(deployment())
        method, path, query, content_type, body = server.asked[0]
        assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/mail-worker")
        assert query == {"fieldManager": "umbel-operator", "force": "true"}
        assert content_type == "application/apply-patch+yaml"
        assert body == deployment()

    against(lambda request, body: answer(200, {"ok": True}), use)


def test_a_create_of_what_exists_is_told_from_other_conflicts() -> None:
    async def use(api: Api, server: Server) -> None:
        with pytest.raises(AlreadyExistsError):
            await api.create(deployment())
        assert server.asked[0][:2] == ("POST", "/apis/apps/v1/namespaces/shop/deployments")
        assert server.asked[0][2]["fieldValidation"] == "Strict"
        with pytest.raises(ConflictError) as seen:
            await api.delete(DEPLOYMENTS, "shop", "mail-worker", uid="other")
        assert not isinstance(seen.value, AlreadyExistsError)
        assert server.asked[1][4] == {"propagationPolicy": "Background", "preconditions": {"uid": "other"}}

    def script(request: web.Request, body: bytes) -> web.Response:
        return answer(409, {"reason": "AlreadyExists" if request.method == "POST" else "Conflict", "message": "no"})

    against(script, use)


def test_what_is_not_there_is_none_for_a_get_and_false_for_a_delete() -> None:
    async def use(api: Api, server: Server) -> None:
        assert await api.get(DEPLOYMENTS, "shop", "x") is None
        assert await api.delete(DEPLOYMENTS, "shop", "x") is False

    against(lambda request, body: answer(404, {"reason": "NotFound", "message": "not found"}), use)


def test_a_list_goes_through_all_pages_and_its_items_carry_their_kind() -> None:
    def script(request: web.Request, body: bytes) -> web.Response:
        page = int(request.query.get("continue", "0"))
        more = {"continue": str(page + 1)} if page < 2 else {}
        return answer(200, {"metadata": more, "items": [{"metadata": {"name": f"s{page}"}}]})

    async def use(api: Api, server: Server) -> None:
        items = await api.list_all(SCHEDULES, None, "a=b")
        assert [item["metadata"]["name"] for item in items] == ["s0", "s1", "s2"]
        assert {(item["apiVersion"], item["kind"]) for item in items} == {("umbel.dev/v1alpha1", "Schedule")}
        assert {query["labelSelector"] for _, _, query, _, _ in server.asked} == {"a=b"}

    against(script, use)


def test_status_is_merged_through_its_subresource() -> None:
    async def use(api: Api, server: Server) -> None:
        await api.patch_status(WORKERPOOLS, "shop", "mail", {"replicas": 2, "busySlots": None})
        method, path, _, content_type, body = server.asked[0]
        assert (method, content_type) == ("PATCH", "application/merge-patch+json")
        assert path == "/apis/umbel.dev/v1alpha1/namespaces/shop/workerpools/mail/status"
        assert body == {"status": {"replicas": 2, "busySlots": None}}

    against(lambda request, body: answer(200), use)


def test_a_throttled_request_says_how_long_to_wait() -> None:
    async def use(api: Api, server: Server) -> None:
        with pytest.raises(TemporaryError, match="too many") as seen:
            await api.apply(deployment())
        assert seen.value.retry_after == 11.0
        assert len(server.asked) == 1

    against(lambda request, body: answer(429, {"message": "too many"}, **{"Retry-After": "11"}), use)


def test_a_server_that_does_not_answer_is_a_temporary_error_that_names_it() -> None:
    async def run() -> None:
        transport = Transport(Configuration(host="http://127.0.0.1:1"))
        try:
            with pytest.raises(TemporaryError, match=r"no answer from http://127.0.0.1:1"):
                await Api(transport).get(DEPLOYMENTS, "shop", "x")
        finally:
            await transport.close()

    asyncio.run(run())


def test_after_a_401_the_credentials_are_read_anew_and_the_request_is_sent_again() -> None:
    def script(request: web.Request, body: bytes) -> web.Response:
        fresh = request.headers.get("Authorization") == "Bearer fresh"
        return answer(200, {"metadata": {"name": "x"}}) if fresh else answer(401, {"message": "Unauthorized"})

    def reload(url: str) -> Callable[[], Awaitable[Configuration]]:
        async def load() -> Configuration:
            return configuration(url, "fresh")

        return load

    async def use(api: Api, server: Server) -> None:
        assert await api.get(DEPLOYMENTS, "shop", "x") == {"metadata": {"name": "x"}}
        assert len(server.asked) == 2

    against(script, use, reload=reload)


def test_every_request_is_counted_with_its_outcome() -> None:
    seen: list[tuple[str, str, int]] = []

    async def use(api: Api, server: Server) -> None:
        await api.patch_status(WORKERPOOLS, "shop", "mail", {})
        assert seen == [("patch", "workerpools/status", 200)]

    against(lambda request, body: answer(200), use, observer=lambda *what: seen.append(what))
