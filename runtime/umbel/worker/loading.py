"""What zygote and children that are started anew do first: import the app, tell of it, leave the terminal's signals alone."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from typing import Any

import orjson

from umbel.errors import UmbelError
from umbel.imports import find_app
from umbel.logs import setup_logging
from umbel.ownqueues import broadcasts
from umbel.worker import linux
from umbel.worker.instance import Instance
from umbel.worker.link import Link
from umbel.worker.options import WorkerOptions
from umbel.worker.resultkeeping import told_of_results

#: Longest text that is told of a failed import, in characters: it has to fit into a packet.
MOST_TEXT = 20_000


def load(options: WorkerOptions, link: Link) -> Any:
    """Import the app; on failure tell the supervisor in one sentence and return None."""
    try:
        if options.workdir:
            os.chdir(options.workdir)
        if options.autoreload:
            # Python takes bytecode for that of a source of the same second and size: a quick edit would change nothing.
            sys.dont_write_bytecode = True
        app = find_app(options.app)
        if options.config:
            app.conf.load(options.config, force=True)
        app.conf.set_command_line({"broker_url": options.broker or None, **dict(options.settings)})
        app.prepare_worker(options.include)
        app.broker_url()
        Instance.of(app, options).set_up()
        app.hooks  # noqa: B018 - what keeps them from being found is said here, once
        return app
    except UmbelError as error:
        link.send({"what": "failed", "error": str(error)[:MOST_TEXT]})
    except Exception as error:
        trace = traceback.format_exc()
        link.send(
            {
                "what": "failed",
                "error": f"importing {options.app!r} failed: {error!r}"[:MOST_TEXT],
                "trace": trace[-MOST_TEXT:],
            }
        )
    return None


def load_anew(argument: str) -> tuple[dict[str, Any], WorkerOptions, Any]:
    """Import the app in a process that was started for one errand of a worker, and ends with its supervisor.

    Args:
        argument: what it was started with, as JSON: ``options``, ``supervisor`` (its process), ``fd`` (the link).

    Returns: what it was started with, the options, and the app. Ends the process if the app cannot be imported.
    """
    handed = orjson.loads(argument)
    options = WorkerOptions.from_json(handed["options"])
    linux.die_with_parent(handed["supervisor"])
    deaf_to_terminal()
    setup_logging(options.loglevel)
    app = load(options, Link(socket.socket(fileno=os.dup(handed["fd"]))))
    if app is None:
        os._exit(1)
    return handed, options, app


def describe(app: Any) -> dict[str, Any]:
    """Return what the supervisor has to know of the app, which it never imports."""
    conf = app.conf
    return {
        "name": app.main,
        "broker_url": app.broker_url(),
        "key_prefix": conf.key_prefix,
        "queue_shards": conf.queue_shards,
        "executor": conf.worker_pool,
        "concurrency": conf.worker_concurrency,
        "children": conf.worker_children,
        "cancel_timeout": conf.worker_cancel_timeout,
        "bounds": [conf.worker_max_tasks_per_child, conf.worker_max_memory_per_child],
        "queues": sorted(app.consumed_queues()),
        "broadcasts": sorted(broadcasts(conf)),
        "worker_direct": conf.worker_direct,
        "tasks": len(app.tasks),
        "result_ttl": conf.result_ttl,
        "beat_schedule": len(conf.beat_schedule),
        "task_events": conf.worker_send_task_events,
        "event_bounds": [conf.event_log_length, conf.event_log_age],
        **told_of_results(app),
    }


def deaf_to_terminal() -> None:
    """Leave Ctrl-C and SIGTERM to the supervisor. A no-op handler, not SIG_IGN, which programs started here would inherit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
