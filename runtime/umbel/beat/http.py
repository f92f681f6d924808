"""beat's HTTP: probes, metrics, the status, and hints about pods that vanished."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from umbel.control.calls import Call, Handler, Response
from umbel.control.exposition import Sheet, serve

JSON = "application/json"
#: Pods in one hint at the most.
MOST_PODS = 10_000


def routes(
    status: Callable[[], dict[str, Any]],
    metrics: Callable[[], Sheet],
    *,
    alive: Callable[[], bool],
    ready: Callable[[], str | None],
    hint: Callable[[Iterable[str], Iterable[str]], None],
) -> dict[tuple[str, str], Handler]:
    """Return what beat answers, by method and path.

    Args:
        status: returns the body of ``/v1/status``.
        metrics: returns what ``/metrics`` tells.
        alive: tells whether the loop turns.
        ready: returns why beat is not ready, None if it is.
        hint: takes the uids of pods that vanished, and those of pods whose node did.
    """

    def livez(call: Call) -> Response:
        return Response(200, b"ok\n") if alive() else Response(500, b"the loop has not turned for 30 s\n")

    def readyz(call: Call) -> Response:
        why = ready()
        return Response(200, b"ok\n") if why is None else Response(503, f"{why}\n".encode())

    def whole(call: Call) -> Response:
        return _json(status(), call)

    def pool(call: Call) -> Response:
        name = call.path.removeprefix("/v1/pools/")
        told = status()
        if not told["redis"]["ok"]:
            # Who scales by this number must not take what is not known for nothing to do.
            error = {"error": f"the load is not known while Redis is away: {told['redis']['error']}"}
            return Response(503, orjson.dumps(error), JSON)
        found = told["pools"].get(name)
        if found is None:
            error = {"error": f"no pool {name!r} is defined or has workers"}
            return Response(404, orjson.dumps(error), JSON)
        return _json(found, call)

    def gone(call: Call) -> Response:
        try:
            body = orjson.loads(call.body)
            uids, nodeless = body["uids"], body.get("nodeless", [])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            uids = nodeless = None
        if not _are_uids(uids) or not _are_uids(nodeless):
            return Response(400, b'{"error":"send {\\"uids\\": [\\"<pod uid>\\", ...]}"}', JSON)
        hint(uids, nodeless)
        return Response(202, b"{}", JSON)

    return {
        ("GET", "/livez"): livez,
        ("GET", "/readyz"): readyz,
        ("GET", "/metrics"): serve(metrics),
        ("GET", "/v1/status"): whole,
        ("GET", "/v1/pools/"): pool,
        ("POST", "/v1/pods/gone"): gone,
    }


def _are_uids(given: Any) -> bool:
    return isinstance(given, list) and len(given) <= MOST_PODS and all(isinstance(uid, str) for uid in given)


def _json(value: dict[str, Any], call: Call) -> Response:
    body = orjson.dumps(value)
    etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
    known = [part.strip().removeprefix("W/") for part in call.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(304, b"", JSON, {"ETag": etag})
    return Response(200, body, JSON, {"ETag": etag})
