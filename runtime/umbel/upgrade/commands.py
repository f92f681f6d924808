"""Looks for Celery's command lines and packages in files that are not Python, and writes down what to put in their place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Final

from umbel.upgrade.finding import Finding, Kind

#: Commands of Celery's, where they stand: in a shell line, a list of JSON or YAML, behind ``python -m``.
_LINE: Final = re.compile(r"""(?<![\w./-])celery(?P<rest>(?:["']?\s*,?\s*["']?(?:-{1,2}[\w-]+|\S+))*)""")
_COMMANDS: Final = frozenset(
    {
        "worker",
        "beat",
        "events",
        "flower",
        "inspect",
        "control",
        "status",
        "purge",
        "call",
        "result",
        "multi",
        "shell",
        "report",
    }
    | {"migrate", "amqp", "graph", "logtool", "list", "upgrade"}
)
_GLOBAL: Final = frozenset({"-A", "--app", "-b", "--broker", "--result-backend", "--workdir", "-q", "-C", "--config"})
_WITH_VALUE: Final = frozenset(
    {"-A", "--app", "-b", "--broker", "--result-backend", "--workdir", "--config", "--loader"}
)
_PACKAGES: Final = {
    "celery": "umbel",
    "kombu": "(not needed)",
    "billiard": "(not needed)",
    "amqp": "(not needed)",
    "vine": "(not needed)",
    "flower": "(umbel status, umbel inspect, /metrics)",
    "django-celery-beat": "(Schedule resources; umbel schedules export)",
    "django-celery-results": "(results are asked of Umbel)",
    "pytest-celery": "(umbel.testing)",
    "celery-types": "(Umbel is typed)",
}
_REQUIREMENT: Final = re.compile(
    r"""^\s*["']?(?P<name>[A-Za-z][\w.-]*)(?P<extras>\[[^\]]*\])?\s*(?:[=<>~!].*)?["',]*\s*(?:#.*)?$"""
)
_WHY_NO_FLAG: Final = {
    "--autoscale": "pods follow the load: the scaler of WorkerPools",
    "-B": "beat is a process of its own: umbel beat",
    "--beat": "beat is a process of its own: umbel beat",
    "--scheduler": "beat keeps its state in Redis",
    "-S": "beat keeps its state in Redis",
    "-s": "beat keeps its state in Redis",
    "--schedule": "beat keeps its state in Redis",
    "--pidfile": "a supervisor (Kubernetes, systemd) does it",
    "--logfile": "logs go to standard error",
    "-f": "logs go to standard error",
    "-D": "a supervisor (Kubernetes, systemd) does it",
    "--detach": "a supervisor (Kubernetes, systemd) does it",
    "--without-gossip": "workers do not talk to each other",
    "--without-mingle": "workers do not talk to each other",
    "--without-heartbeat": "workers do not talk to each other",
    "-O": "a worker fetches no more than hides the round trip",
    "-Ofair": "a worker fetches no more than hides the round trip",
    "--optimization": "a worker fetches no more than hides the round trip",
    "--prefetch-multiplier": "a worker fetches no more than hides the round trip",
}


def look_at(path: str, text: str) -> list[Finding]:
    """Return what a file says that has to be changed by hand."""
    found = []
    requirements = "requirements" in path or path.endswith((".toml", "setup.py", "Pipfile"))
    for number, line in enumerate(text.splitlines(), 1):
        for words in _command_lines(line):
            found.append(_command(path, number, words))
        if requirements and (finding := _requirement(path, number, line)) is not None:
            found.append(finding)
    return found


def _command_lines(line: str) -> Iterator[list[str]]:
    """Yield the words of each command line that begins with celery and has one of its commands."""
    for match in _LINE.finditer(line):
        before = line[: match.start()].rstrip()
        if before.endswith(("#", "pip install", "import", "from")):
            continue
        rest = re.split(r"\s*(?:&&|\|\||;|\||>|\s#)\s*", match["rest"], maxsplit=1)[0]
        listed = bool(re.match(r"""["']\s*,""", rest))
        rest = re.sub(r"""["']\s*,\s*["']""", " ", rest).rstrip("]'\"`), ") if listed else rest.rstrip("'\"`)")
        try:
            words = shlex.split(rest.strip(" \"',") if listed else rest)
        except ValueError:
            words = rest.split()
        if _command_of(words) is not None:
            yield words


def _command_of(words: list[str]) -> str | None:
    """Return the command among the words; options of celery itself may stand before it."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in _WITH_VALUE
        else:
            return word if word in _COMMANDS else None
    return None


def _command(path: str, number: int, words: list[str]) -> Finding:
    command = _command_of(words) or ""
    written = "celery " + _joined(words)
    known = _flags(command)
    if known is None:
        why = "there is no such command; see docs/coming-from-celery.md"
        return Finding(path, number, Kind.NOT_OFFERED, written, why)
    first, second, left_out = _sorted(words, command, known)
    new = _joined(["umbel", *first, command, *second])
    why = "; ".join(f"{flag}: {_WHY_NO_FLAG.get(flag, 'there is no such option')}" for flag in left_out)
    return Finding(path, number, Kind.BY_HAND, f"{written} -> {new}", why)


def _joined(words: list[str]) -> str:
    """Return words as a command line, in which variables stay variables."""
    return " ".join(f'"{word}"' if re.search(r"\s", word) or "$" in word else word for word in words)


def _sorted(words: list[str], command: str, known: dict[str, bool]) -> tuple[list[str], list[str], list[str]]:
    """Return the options of umbel itself, the words behind the command, and the options that there are not."""
    first: list[str] = []
    second: list[str] = []
    left_out: list[str] = []
    rest = iter(words)
    seen = False
    for word in rest:
        flag, equals, _ = word.partition("=")
        if word == command and not seen:
            seen = True
        elif not word.startswith("-") or word == "-":
            second.append(word)
        elif flag in _GLOBAL and (not seen or flag not in known):
            first += [word] if equals or flag in ("-q", "-C") else [word, next(rest, "")]
        elif flag in known or (flag[:2] in known and len(flag) > 2 and not flag.startswith("--")):
            second.append(word)
            if known.get(flag) and not equals:
                second.append(next(rest, ""))
        else:
            left_out.append(flag)
            if not equals and flag in _VALUED:
                next(rest, None)
    return first, second, left_out


#: Options of Celery's that Umbel has not and that take a value, which goes with them.
_VALUED: Final = frozenset(
    {
        "--autoscale",
        "--scheduler",
        "-S",
        "-s",
        "--schedule",
        "--schedule-filename",
        "--statedb",
        "--pidfile",
        "--logfile",
        "-f",
    }
    | {
        "--uid",
        "--gid",
        "--umask",
        "--executable",
        "-O",
        "--optimization",
        "--prefetch-multiplier",
        "--heartbeat-interval",
    }
    | {"--loader", "--pool-start-method"}
)


@cache
def _flags(command: str) -> dict[str, bool] | None:
    """Return the options of a command of ours and whether each takes a value, None where there is no such command."""
    import importlib

    import click

    group = importlib.import_module("umbel.cli.main").umbel
    context = click.Context(group, info_name="umbel")
    found = group.get_command(context, command)
    if found is None:
        return None
    return {
        name: not (parameter.is_flag or parameter.count)
        for parameter in found.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden  # hidden ones only tell what to do instead
        for name in parameter.opts
    }


def _requirement(path: str, number: int, line: str) -> Finding | None:
    match = _REQUIREMENT.match(line)
    name = match["name"].lower().replace("_", "-") if match else ""
    if name not in _PACKAGES:
        return None
    return Finding(path, number, Kind.BY_HAND, f"{line.strip()} -> {_PACKAGES[name]}")
