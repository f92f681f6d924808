"""One HTTP request to the API server through the official client, its answer decoded and its failure typed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from umbel_operator.kube.errors import Json, TemporaryError, error_of

#: Seconds for one request, answer read.
REQUEST_TIMEOUT = 30.0

#: Called after each request with verb, plural, and HTTP status (0 = no answer).
Observer = Callable[[str, str, int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: any status where `raw` was asked for, else a success."""

    status: int
    headers: Mapping[str, str]
    body: Json


class Transport:
    """Send requests with the cluster's credentials; load these anew after a 401."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        reload: Callable[[], Awaitable[Configuration]] | None = None,
        observer: Observer | None = None,
        user_agent: str = "umbel-operator",
    ) -> None:
        self._reload = reload
        self._observer = observer
        self._user_agent = user_agent
        self._client = self._connect(configuration)
        self._reloaded_at = float("-inf")

    @property
    def server(self) -> str:
        """Tell the URL of the API server."""
        return str(self._client.configuration.host)

    @property
    def configuration(self) -> Configuration:
        """Hand out the connection settings that are in use."""
        return self._client.configuration

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        plural: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,
        raw: bool = False,
    ) -> Answer:
        """Send one request and read the answer.

        what: the request in words, for messages. plural: the resource's name, for metrics. timeout: seconds.
        raw: hand back answers of any status instead of raising.
        Raises one of the errors of `kube.errors`.
        """
        answer = await self._once(method, path, what, plural, query, headers, body, content_type, timeout)
        if answer.status == 401 and await self._log_in_again():
            answer = await self._once(method, path, what, plural, query, headers, body, content_type, timeout)
        if raw or 200 <= answer.status < 300:
            return answer
        raise error_of(answer.status, answer.headers, answer.body, what)

    async def _once(
        self,
        method: str,
        path: str,
        what: str,
        plural: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        timeout: float,
    ) -> Answer:
        status = 0
        try:
            serialized = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type, **(headers or {})},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*serialized, _request_timeout=timeout)
            data = await response.read()
            status = response.status
            return Answer(status, dict(response.headers), _decode(data))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            said = str(error) or type(error).__name__
            raise TemporaryError(f"{what}: no answer from {self.server}: {said}") from error
        finally:
            if self._observer is not None:
                self._observer(method.lower(), plural, status)

    async def _log_in_again(self) -> bool:
        if self._reload is None or time.monotonic() - self._reloaded_at < 10:
            return False
        self._reloaded_at = time.monotonic()
        stale, self._client = self._client, self._connect(await self._reload())
        await stale.close()
        return True

    def _connect(self, configuration: Configuration) -> ApiClient:
        configuration.connection_pool_maxsize = 32
        client = ApiClient(configuration)
        client.user_agent = self._user_agent
        return client


def _decode(data: bytes) -> Json:
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError:
        return {"message": data[:2000].decode(errors="replace")}
    return body if isinstance(body, dict) else {"value": body}
