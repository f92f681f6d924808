"""Create or change resources of our kinds from a file, as soon as the cluster serves them."""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.names import API_VERSION
from umbel_operator.api.parse import parse_strict
from umbel_operator.kube.access import NotReadyError, check_kinds
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, Json, PermanentError

logger = logging.getLogger(__name__)

#: Seconds between attempts.
PAUSE = 1.0


class BadFileError(Exception):
    """A file holds something else than valid resources of our kinds; the message says where and what."""


def read_resources(file: Path) -> list[Json]:
    """Read all resources of a YAML file and check them as strictly as the API server does.

    Raises BadFileError.
    """
    try:
        found = [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadFileError(f"Cannot read {file}: {error}") from error
    for document in found:
        _check(file, document)
    return found


async def put(api: Api, resources: Sequence[Json], *, manager: str, seconds: float) -> None:
    """Apply resources server-side, and try again for a while where the cluster is not ready for them yet.

    manager: name under which the API server remembers whose fields these are.
    seconds: how long to try; a CRD that was created just now is served a few seconds later.
    Raises the last NotReadyError or ApiError when the time is over, and at once for a resource that is refused.
    """
    deadline = time.monotonic() + seconds
    left = list(resources)
    while left:
        try:
            await check_kinds(api)
            while left:
                stored = await api.apply(left[0], manager=manager)
                meta = stored["metadata"]
                logger.info(
                    "applied", extra={"kind": stored["kind"], "resource": f"{meta['namespace']}/{meta['name']}"}
                )
                left.pop(0)
        except PermanentError:
            raise
        except (ApiError, NotReadyError) as error:
            if time.monotonic() + PAUSE > deadline:
                raise
            logger.info("not_yet", extra={"why": str(error)})
            await asyncio.sleep(PAUSE)


def _check(file: Path, document: object) -> None:
    body = document if isinstance(document, dict) else {}
    if body.get("apiVersion") != API_VERSION or body.get("kind") not in BY_NAME:
        seen = f"{body.get('apiVersion')}, {body.get('kind')}" if body else repr(document)
        raise BadFileError(f"{file}: only {API_VERSION} with kind {', '.join(BY_NAME)} can be applied; found {seen}")
    meta = body.get("metadata")
    name = f"{body['kind']} {meta.get('name')}" if isinstance(meta, dict) else str(body["kind"])
    if not isinstance(meta, dict) or not meta.get("name") or not meta.get("namespace"):
        raise BadFileError(f"{file}: {name} needs metadata.name and metadata.namespace")
    try:
        parse_strict(BY_NAME[body["kind"]], body)
    except ValueError as problem:
        raise BadFileError(f"{file}: {name}: {problem}") from problem
