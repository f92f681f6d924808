"""Check an installation from outside of the operator: it is ready, and the kinds are stored as it knows them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from umbel_operator.api.names import VERSION
from umbel_operator.kube.access import NotReadyError, check_kinds
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError
from umbel_operator.kube.resources import CRDS, OWN

#: Seconds between attempts, and for one answer of the operator.
PAUSE, PATIENCE = 1.0, 10.0


async def check_installation(api: Api, operator: str | None, *, stored_versions: bool, seconds: float) -> None:
    """Check until all is well, or the time is over.

    operator: address of the operator's HTTP port, e.g. ``http://umbel-operator:8080``; None leaves it out.
    stored_versions: whether to look in which versions the kinds are stored, which needs the right to get the four CRDs.
    Raises the last NotReadyError or ApiError.
    """
    deadline = time.monotonic() + seconds
    await _insist(lambda: check_kinds(api), deadline)
    if stored_versions:
        await _insist(lambda: check_stored_versions(api), deadline)
    if operator is not None:
        await _insist(lambda: _check_operator(operator), deadline)


async def check_stored_versions(api: Api) -> None:
    """Check that objects of the four kinds are stored in the version that this release serves, and in no other."""
    for kind in OWN:
        name = f"{kind.plural}.{kind.group}"
        crd = await api.get(CRDS, None, name)
        stored = ((crd or {}).get("status") or {}).get("storedVersions") or []
        if stored != [VERSION]:
            raise NotReadyError(
                f"{name} is stored in the versions {', '.join(map(str, stored)) or '(none)'}, and this release knows "
                f"{VERSION} only: write each object once (kubectl get {kind.plural} -A -o yaml | kubectl replace -f -), "
                "then take the other versions out of the CRD's status.storedVersions."
            )


async def _check_operator(address: str) -> None:
    url = f"{address.rstrip('/')}/readyz"
    try:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            if answer.status == 200:
                return
            said = (await answer.text())[:200].strip()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotReadyError(f"The operator does not answer at {url}: {error}. Look at its pod and its log.") from error
    raise NotReadyError(f"The operator is not ready, {url} answers {answer.status}: {said}. Look at its log.")


async def _insist(check: Callable[[], Awaitable[None]], deadline: float) -> None:
    while True:
        try:
            await check()
            return
        except (NotReadyError, ApiError):
            if time.monotonic() + PAUSE > deadline:
                raise
            await asyncio.sleep(PAUSE)
