"""An HTTP proxy in front of a real API server, which notes every request and fails them as a test wants."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

#: Headers that belong to one connection only.
_HOP = frozenset({"connection", "content-length", "content-encoding", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    at: float
    method: str
    path: str
    watch: bool
    agent: str

    @property
    def writes(self) -> bool:
        """Tell whether it may change something that is stored; a review of rights does not."""
        return self.method != "GET" and "selfsubjectaccessreviews" not in self.path


@dataclass(frozen=True)
class Fault:
    """What to answer in the place of the API server.

    status: 0 breaks the connection. retry_after: seconds, in a header. after: pass the request on first, and lose the answer.
    """

    status: int = 0
    retry_after: int | None = None
    after: bool = False


class ApiProxy:
    """Pass requests on, but for those that `fault` names.

    kubeconfig: of the API server behind.
    """

    def __init__(self, kubeconfig: str) -> None:
        self._server, self._tls = _upstream(kubeconfig)
        self.seen: list[Seen] = []
        self.answers: Counter[int] = Counter()
        #: Asked for each request; None passes it on.
        self.fault: Callable[[Seen], Fault | None] = lambda seen: None
        #: Asked for each request; anything but None is answered in the place of the API server.
        self.answer: Callable[[Seen], dict[str, Any] | None] = lambda seen: None
        #: The API server is out of reach: connections are broken, and new ones refused.
        self._away = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        #: Whom the API server takes us for; empty: who the kubeconfig says.
        self.user = ""
        self._streams: set[asyncio.Task[Any]] = set()
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner
        self.port = 0

    def writes(self, since: float = 0.0) -> list[Seen]:
        """List the requests that may have changed something."""
        return [seen for seen in self.seen if seen.writes and seen.at >= since]

    def away(self, gone: bool) -> None:
        """Take the API server out of reach, or bring it back."""
        self._away = gone
        if gone:
            for task in list(self._streams):
                task.cancel()

    def stall(self, stalled: bool) -> None:
        """Let watches stay open and say nothing more, or let them speak again."""
        if stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    def kubeconfig(self, folder: Path) -> str:
        """Write a kubeconfig that leads to this proxy."""
        path = folder / f"through-{self.port}.kubeconfig"
        entry = {"name": "x", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        user: dict[str, Any] = {"name": "x", "user": {}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "x"}
        config |= {"clusters": [entry], "users": [user], "contexts": [context]}  # type: ignore[dict-item]
        path.write_text(yaml.safe_dump(config))
        return str(path)

    async def start(self) -> None:
        """Begin to listen."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close all connections."""
        self.away(True)
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            time.monotonic(),
            request.method,
            request.path,
            "watch" in request.query,
            request.headers.get("User-Agent", ""),
        )
        fault = Fault() if self._away else self.fault(seen)
        self.seen.append(seen)
        if fault is not None and not fault.after:
            return self._fail(request, fault)
        if (body := self.answer(seen)) is not None:
            return web.json_response(body, status=int(body.get("code", 200)))
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            return await self._pass_on(request, seen, fault)
        finally:
            self._streams.discard(task)

    def _fail(self, request: web.Request, fault: Fault) -> web.Response:
        self.answers[fault.status] += 1
        if fault.status == 0:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "injected", "code": fault.status}
        return web.json_response(body, status=fault.status, headers=headers)

    async def _pass_on(self, request: web.Request, seen: Seen, fault: Fault | None) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        if self.user:
            headers["Impersonate-User"] = self.user
        data = await request.read() or None
        url = self._server + request.raw_path
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=data, timeout=aiohttp.ClientTimeout(total=None)
            ) as answer:
                if fault is not None:
                    await answer.read()
                    return self._fail(request, fault)
                self.answers[answer.status] += 1
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                if not seen.watch:
                    return web.Response(status=answer.status, headers=kept, body=await answer.read())
                stream = web.StreamResponse(status=answer.status, headers=kept)
                await stream.prepare(request)
                with suppress(ConnectionError):
                    async for chunk in answer.content.iter_any():
                        await self._flowing.wait()
                        await stream.write(chunk)
                return stream
        except aiohttp.ClientError:
            return self._fail(request, Fault())


@asynccontextmanager
async def proxied(kubeconfig: str) -> AsyncIterator[ApiProxy]:
    """Run a proxy."""
    proxy = ApiProxy(kubeconfig)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def _upstream(kubeconfig: str) -> tuple[str, ssl.SSLContext]:
    """Read where the API server is, and how to log in with a client certificate."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "crt", Path(folder) / "key"
        certificate.write_text(_text(user, "client-certificate"))
        key.write_text(_text(user, "client-key"))
        context.load_cert_chain(certificate, key)
    return str(cluster["server"]), context


def _text(entry: dict[str, str], name: str) -> str:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()
