"""One HTTP request to the API server through the official client, its answer decoded and its failure typed."""

import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from umbel_operator.kube.errors import Json, TemporaryError, error_of

#: Seconds after which a client with former credentials has no request on its way any more.
FORMER_SECONDS = 60.0

#: Called after each request with verb, plural, and HTTP status (0 = no answer).
Observer = Callable[[str, str, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and how to speak of it."""

    method: str
    path: str
    #: The request in words, for messages: `patch deployments shop/mail-worker`.
    what: str
    #: The resource's plural name, and the verb where it is not the method, for metrics.
    plural: str = ""
    verb: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    #: Seconds until the answer is read.
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Json


class Transport:
    """Send requests with the cluster's credentials; load these anew after a 401.

    guard: asked before each request that may change something; it tells for how many seconds this is allowed, or raises
        an ApiError where it is not.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        reload: Callable[[], Awaitable[Configuration]] | None = None,
        observer: Observer | None = None,
        guard: Callable[[], float] | None = None,
        user_agent: str = "umbel-operator",
    ) -> None:
        self._reload = reload
        self._observer = observer
        self._guard = guard
        self._user_agent = user_agent
        self._client = self._connect(configuration)
        self._loaded_at = time.monotonic()
        self._former: list[tuple[float, ApiClient]] = []
        #: The connection settings that are in use.
        self.configuration = configuration

    @property
    def server(self) -> str:
        """Tell the URL of the API server."""
        return str(self.configuration.host)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Hand out what TLS connections to the API server are made with."""
        context: ssl.SSLContext = self._client.rest_client.ssl_context
        return context

    def authorization(self) -> dict[str, str]:
        """Make the header that carries the token; none where a certificate is used."""
        token = (self.configuration.api_key or {}).get("BearerToken")
        return {"Authorization": str(token)} if token else {}

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._client, *(former for _, former in self._former)):
            await client.close()

    async def send(self, request: Request) -> Answer:
        """Send one request; raise one of the errors of `kube.errors` unless it succeeds."""
        answer = await self.exchange(request)
        if 200 <= answer.status < 300:
            return answer
        raise error_of(answer.status, answer.headers, answer.body, request.what)

    async def exchange(self, request: Request) -> Answer:
        """Send one request and hand back the answer, whatever its status.

        Raises TemporaryError where none comes.
        """
        answer = await self._once(request)
        if answer.status == 401 and await self.log_in():
            return await self._once(request)
        return answer

    async def _once(self, request: Request) -> Answer:
        seconds, status = request.seconds, 0
        if self._guard is not None and request.method != "GET":
            # A process that stands still while it connects must not send what it was allowed to send before.
            seconds = min(seconds, self._guard())
        try:
            serialized = await self._client.param_serialize(
                request.method,
                request.path,
                query_params=list(request.query.items()),
                header_params={"Accept": "application/json", "Content-Type": request.content_type, **request.headers},
                body=request.body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*serialized, _request_timeout=seconds)
            data = await response.read()
            status = response.status
            return Answer(status, dict(response.headers), _decode(data))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise TemporaryError(f"{request.what}: no answer from {self.server}: {said}") from error
        finally:
            if self._observer is not None:
                self._observer(request.verb or request.method.lower(), request.plural, status)

    async def log_in(self) -> bool:
        """Load the credentials anew; tell whether that was possible, and not done moments ago."""
        now = time.monotonic()
        if self._reload is None or now - self._loaded_at < 10:
            return False
        self._loaded_at = now
        self.configuration = await self._reload()
        # Requests may still be on their way through the former client.
        self._former.append((now, self._client))
        self._client = self._connect(self.configuration)
        for at, former in list(self._former):
            if now - at > FORMER_SECONDS:
                self._former.remove((at, former))
                await former.close()
        return True

    def _connect(self, configuration: Configuration) -> ApiClient:
        configuration.connection_pool_maxsize = 32
        client = ApiClient(configuration)
        client.user_agent = self._user_agent
        return client


def allow_deep_json() -> None:
    """Let this process read objects nested as deeply as the API server stores them (10,000 levels).

    With Python's own bound of 1,000 frames, one resource with arguments nested deeper would end each list and each watch
    of its kind. Python 3.12 has a second bound, which cannot be raised.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 40_000))


def _decode(data: bytes) -> Json:
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError:
        return {"message": data[:2000].decode(errors="replace")}
    return body if isinstance(body, dict) else {"value": body}
