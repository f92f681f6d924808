"""Write tests/docs/celery_names.json: the public names of an installed Celery, by area, as facts to compare with.

Run it by a Python in which Celery is installed, in an environment of its own; Umbel never imports Celery:

`python scripts/list_celery_names.py [PATH]`
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests/docs/celery_names.json"


#: In ``celery.__all__``, and not meant for users: parts of how the package loads itself.
_NOT_MEANT = (
    "SERIES",
    "execute",
    "local",
    "log",
    "messaging",
    "registry",
    "maybe_patch_concurrency",
    "uuid",
    "version_info_t",
)


#: Taken out of ``**options`` by what Celery wraps tasks in, so in no signature.
RETRYING = ("autoretry_for", "dont_autoretry_for", "retry_kwargs", "retry_backoff", "retry_backoff_max", "retry_jitter")
PYDANTIC = ("pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs")
MULTI = ["start", "restart", "stop", "stopwait", "stop_verify", "show", "names", "get", "kill", "expand", "help"]


def _get(path: str) -> Any:
    module, _, names = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in filter(None, names.split(".")):
        found = getattr(found, name)
    return found


def _public(*paths: str, without: Iterable[type] = ()) -> list[str]:
    """Return the attributes of some classes that do not begin with an underscore."""
    inherited = {name for cls in without for name in dir(cls)}
    found = {name for path in paths for name in dir(_get(path))}
    found |= {name for path in paths for name in getattr(_get(path), "__dict__", {})}
    return sorted(name for name in found - inherited if not name.startswith("_"))


def _parameters(*paths: str) -> list[str]:
    skipped = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    return sorted(
        {
            name
            for path in paths
            for name, parameter in inspect.signature(_get(path)).parameters.items()
            if parameter.kind not in skipped and name not in ("self", "cls")
        }
    )


def _sources(package: str) -> str:
    folder = Path(str(_get(package).__file__)).parent
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.py")))


def settings() -> list[str]:
    defaults = _get("celery.app.defaults")
    return sorted(name for name, _ in defaults.flatten(defaults.NAMESPACES))


def environment() -> list[str]:
    found = re.findall(r"""(?:environ(?:\.get\(|\[)|envvar=|getenv\()\s*["']([A-Z_]+)["']""", _sources("celery"))
    return sorted(
        {name for name in found if name.startswith(("CELERY", "C_", "AUTOSCALE", "REMAP"))} | {"REMAP_SIGTERM"}
    )


def calls() -> list[str]:
    """Return what a call takes: the parameters of what sends it, and what a task hands on from its own options."""
    found = set(_parameters("celery:Task.apply_async", "celery:Celery.send_task", "celery.app.amqp:AMQP.as_task_v2"))
    found |= set(_parameters("celery:Task.apply"))
    found |= {"queue", "exchange", "routing_key", "priority", "serializer", "delivery_mode", "compression"}
    found |= {"mandatory", "immediate", "stamped_headers", "confirm_timeout", "correlation_id"}
    return sorted(found - {"create_sent_event", "argsrepr", "kwargsrepr", "origin", "now", "name", "router"})


def commands(group: Any, path: str = "celery") -> list[str]:
    """Return each command with its options: `celery worker`, `celery worker --concurrency`."""
    found = []
    for parameter in group.params:
        if parameter.param_type_name == "option":
            found += [f"{path} {name}" for name in (*parameter.opts, *parameter.secondary_opts) if name != "--help"]
    for name, command in getattr(group, "commands", {}).items():
        found += [f"{path} {name}", *commands(command, f"{path} {name}")]
    return found


def fixtures() -> list[str]:
    module = _get("celery.contrib.pytest")
    found = [name for name, value in vars(module).items() if "ixture" in type(value).__name__]
    return sorted(name for name in found if not name.startswith("_"))


def events() -> list[str]:
    found = re.findall(r"""["']((?:task|worker)-[a-z]+)["']""", _sources("celery"))
    return sorted({name for name in found if name not in ("worker-direct", "task-message")})


def areas() -> dict[str, list[str]]:
    """Return the names by area."""
    canvas = ["chain", "group", "chord", "xmap", "chunks", "StampingVisitor"]
    of_canvas = _public(*(f"celery.canvas:{name}" for name in canvas), without=[_get("celery.canvas:Signature")])
    schedules = ["crontab", "schedule", "solar"]
    return {
        "settings": settings(),
        "environment": environment(),
        "app": [*_public("celery:Celery"), "AsyncResult", "signature"],
        "app parameters": _parameters("celery:Celery.__init__"),
        "task": _public("celery:Task"),
        "task options": [*RETRYING, *PYDANTIC, "bind", "base", "queue", "exchange", "routing_key", "compression"],
        "request": _public("celery.app.task:Context"),
        "exceptions": sorted(_get("celery.exceptions:__all__")),
        "calls": calls(),
        "signature": _public("celery.canvas:Signature", without=[dict]),
        "canvas": [*of_canvas, *canvas, "xstarmap", "signature", "subtask", "maybe_signature"],
        "results": _public("celery.result:AsyncResult", "celery.result:EagerResult"),
        "result sets": _public("celery.result:ResultSet", "celery.result:GroupResult"),
        "result functions": ["allow_join_result", "assert_will_not_block", "denied_join_result", "result_from_tuple"],
        "states": sorted(_get("celery.states:__all__")),
        "inspect": _public("celery.app.control:Inspect"),
        "control": _public("celery.app.control:Control"),
        "remote commands": sorted(_get("celery.worker.control:Panel").meta),
        "events": events(),
        "event state": _public(
            "celery.events.state:State",
            "celery.events:EventReceiver",
            "celery.events:EventDispatcher",
            without=[_get("kombu.mixins:ConsumerMixin")],
        ),
        "signals": [*_get("celery.signals:__all__"), "import_modules", "user_preload_options", "task_sent"],
        "schedules": [*_public(*(f"celery.schedules:{name}" for name in schedules)), *schedules],
        "solar": _get("celery.schedules:solar")._all_events,
        "beat": _public("celery.beat:ScheduleEntry", "celery.beat:Scheduler", "celery.beat:PersistentScheduler"),
        "command line": commands(_get("celery.bin.celery:celery")),
        "serializers": sorted(name for name in _get("kombu.serialization:registry").name_to_type if name),
        "compressions": sorted(_get("kombu.compression").encoders()),
        "multi": [name for name in _get("celery.bin.multi:MultiTool").__dict__ if name in MULTI],
        "pools": _get("celery.concurrency:ALIASES"),
        "brokers": _get("kombu.transport:TRANSPORT_ALIASES"),
        "backends": _get("celery.app.backends:BACKEND_ALIASES"),
        "transport options": _get("kombu.transport.redis:Channel").from_transport_options,
        "pytest fixtures": fixtures(),
        "imports": sorted({name for name in _get("celery:__all__") if name[0] != "_"} - set(_NOT_MEANT)),
    }


def main(arguments: list[str]) -> None:
    """Write the file."""
    source = {name: importlib.metadata.version(name) for name in ("celery", "kombu")}
    text = json.dumps({"source": source, "areas": {k: sorted(set(v)) for k, v in areas().items()}}, indent=1)
    (Path(arguments[0]) if arguments else TARGET).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
