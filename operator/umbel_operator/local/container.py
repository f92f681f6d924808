"""Turn the container of a pod into a command for this machine: program, arguments, variables, folders for its volumes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from umbel_operator.local.volumes import Lookup, MissingData, files_of, values_of
from umbel_operator.plan.model import Manifest

#: Programs of images that this Python stands for.
_PROGRAMS: Final = {
    "umbel": (sys.executable, "-m", "umbel"),
    "python": (sys.executable,),
    "python3": (sys.executable,),
}
_PORT_FLAGS: Final = frozenset({"--port", "--health-port"})
_PORT_VARIABLES: Final = frozenset({"UMBEL_HEALTH_PORT"})
_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class Unrunnable(Exception):
    """A container that cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container finds on this machine.

    port: stands for the port that the container listens on.
    folder: for its volumes.
    broker_url: of the local Redis, with its password.
    environment: the variables that it inherits.
    """

    port: int
    folder: Path
    broker_url: str
    environment: Mapping[str, str]
    lookup: Lookup


@dataclass(frozen=True, slots=True)
class Command:
    """What to run."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    #: Files of each folder that stands for a volume.
    volumes: dict[Path, dict[str, bytes]] = field(default_factory=dict)
    #: Whether the output is JSON of Umbel's own logging.
    json_logs: bool = True
    #: What is different from a cluster.
    notes: tuple[str, ...] = ()


def main_container(pod: Manifest, name: str) -> Mapping[str, Any]:
    """Return the container that runs here: the one of that name."""
    return next(container for container in pod["spec"]["containers"] if container["name"] == name)


def make_command(pod: Manifest, name: str, around: Surroundings) -> Command:
    """Return the command of a pod's container.

    Raises `Unrunnable`.
    """
    container = main_container(pod, name)
    notes = list(_left_out(pod, name))
    try:
        volumes, paths = _volumes(pod, container, around, notes)
        variables = _variables(pod, container, around.lookup)
    except MissingData as missing:
        raise Unrunnable(str(missing)) from missing
    log_format = variables.get("UMBEL_LOG_FORMAT", "json")
    given = {key: _moved(value, paths) for key, value in variables.items()}
    given.update({key: str(around.port) for key in _PORT_VARIABLES if key in given})
    given.update({"UMBEL_BROKER_URL": around.broker_url, "UMBEL_LOG_FORMAT": log_format, "PYTHONUNBUFFERED": "1"})
    given.setdefault("UMBEL_HEALTH_HOST", "127.0.0.1")  # nobody outside of this machine is to ask them
    if given.get("HOME") == "/tmp":
        # What the operator gives where an image may have no home.
        del given["HOME"]
    temporary = around.folder / "tmp"
    volumes.setdefault(temporary, {})
    inherited = {key: value for key, value in around.environment.items() if not key.startswith("UMBEL_")}
    return Command(
        argv=_argv(container, variables, paths, around.port, log_format),
        environment={**inherited, "PATH": _path(inherited), "TMPDIR": str(temporary), **given},
        volumes=volumes,
        json_logs=log_format == "json",
        notes=tuple(notes),
    )


def _path(inherited: Mapping[str, str]) -> str:
    """Return a PATH on which the programs of this Python's environment come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])


def _left_out(pod: Manifest, name: str) -> list[str]:
    spec = pod["spec"]
    notes = [f"container {c['name']} is not run here" for c in spec["containers"] if c["name"] != name]
    return notes + [f"init container {c['name']} is not run here" for c in spec.get("initContainers") or ()]


def _volumes(
    pod: Manifest, container: Mapping[str, Any], around: Surroundings, notes: list[str]
) -> tuple[dict[Path, dict[str, bytes]], dict[str, str]]:
    """Return the files of each folder, and the folder for each path of a mount."""
    by_name = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    folders: dict[Path, dict[str, bytes]] = {}
    paths: dict[str, str] = {}
    for mount in container.get("volumeMounts") or ():
        path = str(mount["mountPath"]).rstrip("/")
        files = files_of(by_name.get(mount["name"], {}), around.lookup)
        if files is None:
            notes.append(f"volume {mount['name']} ({path}) is of a type that there is only in a cluster")
        elif path != "/tmp":
            folder = around.folder / str(mount["name"])
            folders[folder] = files
            paths[path] = str(folder / mount["subPath"]) if mount.get("subPath") else str(folder)
    return folders, paths


def _variables(pod: Manifest, container: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                values = _data(kind, source[key], lookup)
                prefix = source.get("prefix") or ""
                found.update({f"{prefix}{name}": value.decode() for name, value in values.items()})
    for variable in container.get("env") or ():
        value = _value(pod, variable, lookup)
        if value is not None:
            found[variable["name"]] = _expanded(value, found)
    return found


def _data(kind: str, reference: Mapping[str, Any], lookup: Lookup) -> dict[str, bytes]:
    body = lookup(kind, str(reference["name"]))
    if body is not None:
        return values_of(body)
    if reference.get("optional"):
        return {}
    raise MissingData(f'{kind} "{reference["name"]}" is in none of the files')


def _value(pod: Manifest, variable: Mapping[str, Any], lookup: Lookup) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value") or "")
    if "fieldRef" in source:
        return _field(pod, str(source["fieldRef"]["fieldPath"]))
    for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if key in source:
            reference = source[key]
            value = _data(kind, reference, lookup).get(reference["key"])
            if value is None and not reference.get("optional"):
                raise MissingData(f'{kind} "{reference["name"]}" has no key "{reference["key"]}"')
            return value.decode() if value is not None else None
    return None


def _field(pod: Manifest, path: str) -> str:
    """Return what the downward API gives for a field of the pod."""
    metadata = pod["metadata"]
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed is not None:
        return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
        "spec.nodeName": "localhost",
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
    }
    return str(simple.get(path, ""))


def _argv(
    container: Mapping[str, Any], variables: Mapping[str, str], paths: Mapping[str, str], port: int, log_format: str
) -> tuple[str, ...]:
    command = [_expanded(str(part), variables) for part in container.get("command") or ()]
    if not command:
        raise Unrunnable("the container has no command, and its image, which would have one, is not used here")
    args = [_moved(_expanded(str(part), variables), paths) for part in container.get("args") or ()]
    args = _with_port(args, port)
    if log_format == "json":
        # Workers tell of each task at DEBUG; what is shown of the rest is chosen when it is read.
        args = _replaced(args, "--loglevel", "INFO", "DEBUG")
    return (*_PROGRAMS.get(command[0], (command[0],)), *command[1:], *args)


def _with_port(args: Sequence[str], port: int) -> list[str]:
    return [str(port) if before in _PORT_FLAGS else arg for before, arg in zip(("", *args), args, strict=False)]


def _replaced(args: Sequence[str], flag: str, old: str, new: str) -> list[str]:
    return [new if (before, arg) == (flag, old) else arg for before, arg in zip(("", *args), args, strict=False)]


def _moved(value: str, paths: Mapping[str, str]) -> str:
    """Return a path below a mount as the path below the folder that stands for it; other texts as they are."""
    for path, folder in paths.items():
        if value == path or value.startswith(f"{path}/"):
            return folder + value[len(path) :]
    return value


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """Fill in $(NAME) as Kubernetes does: unknown names stay, $$ is a dollar."""

    def fill(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(fill, text)
