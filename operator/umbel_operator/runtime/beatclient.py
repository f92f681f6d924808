"""Talk to a Broker's beat: its status, and the hint that Pods are gone."""

import json
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from umbel_operator.kube.errors import ApiError, Json
from umbel_operator.kube.resources import SERVICES
from umbel_operator.kube.transport import Request, Transport

#: The port of the Service `<b>-beat`.
PORT = 8080
#: Seconds for one request.
TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What beat answered."""

    status: int
    etag: str | None
    body: Json


class BeatUnreachableError(Exception):
    """beat did not answer."""


class BeatRoute(Protocol):
    """A way to reach the Service `<broker>-beat` of a namespace."""

    async def call(
        self, namespace: str, broker: str, method: str, path: str, *, etag: str | None = None, body: Json | None = None
    ) -> Reply:
        """Send one request; raise BeatUnreachableError where no answer comes."""

    async def close(self) -> None:
        """Close all connections."""


class ServiceRoute:
    """Reach beat by the Service's name in the cluster's DNS: the way of an operator that runs in a pod."""

    def __init__(self) -> None:
        # A beat that moved to another node has another address: neither names nor connections are kept for long.
        connector = aiohttp.TCPConnector(ttl_dns_cache=10, keepalive_timeout=30, limit=64)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT))

    async def call(
        self, namespace: str, broker: str, method: str, path: str, *, etag: str | None = None, body: Json | None = None
    ) -> Reply:
        """Send one request."""
        url = f"http://{broker}-beat.{namespace}.svc:{PORT}{path}"
        headers = {"If-None-Match": etag} if etag else {}
        try:
            async with self._session.request(method, url, headers=headers, json=body) as response:
                data = await response.read()
                return Reply(response.status, response.headers.get("ETag"), _object(data))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BeatUnreachableError(f"{url}: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


class ApiServerRoute:
    """Reach beat through the API server's proxy: the way of an operator that runs outside the cluster."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def call(
        self, namespace: str, broker: str, method: str, path: str, *, etag: str | None = None, body: Json | None = None
    ) -> Reply:
        """Send one request."""
        proxy = SERVICES.path(namespace, f"{broker}-beat:{PORT}", "proxy").replace("%3A", ":")
        request = Request(
            method,
            proxy + path,
            what=f"{method.lower()} {path} of {broker}-beat in {namespace}",
            plural="services/proxy",
            headers={"If-None-Match": etag} if etag else {},
            body=body,
            seconds=TIMEOUT,
        )
        try:
            answer = await self._transport.exchange(request)
        except ApiError as error:
            raise BeatUnreachableError(error.message) from error
        # The API server speaks for itself when it finds no endpoint, when the connection fails, or when we may not.
        if answer.body.get("kind") == "Status":
            raise BeatUnreachableError(f"{request.what}: {answer.body.get('message')} (HTTP {answer.status})")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, headers.get("etag"), answer.body)

    async def close(self) -> None:
        """Leave the transport to its owner."""


def _object(data: bytes) -> Json:
    body = json.loads(data) if data else {}
    return body if isinstance(body, dict) else {"value": body}
