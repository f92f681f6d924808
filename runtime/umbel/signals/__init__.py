"""Hooks by which an app takes part in what happens around its tasks and workers, with Celery's names.

from umbel.signals import worker_process_init

@worker_process_init.connect
def open_pool(**kwargs): ...

In which process a receiver is called, and when exactly: docs/reference/signals.md.
"""

from __future__ import annotations

from typing import Final

from umbel.signals.base import Signal, tell_of_connections

__all__ = [
    "NOT_OFFERED",
    "Signal",
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_success",
    "task_unknown",
    "tell_of_connections",
    "test_worker_started",
    "test_worker_starting",
    "test_worker_stopped",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]

_PUBLISHED = ("body", "exchange", "routing_key", "headers")

#: A task is about to be sent; what is changed in ``headers`` travels with it. The sender is the task's name.
before_task_publish = Signal("before_task_publish", (*_PUBLISHED, "properties", "declare", "retry_policy"))
#: A task was sent, or added to an open batch. The sender is the task's name.
after_task_publish = Signal("after_task_publish", _PUBLISHED)

#: A worker has taken a task up, and is about to run it.
task_received = Signal("task_received", ("request",))
#: A task is about to run. The sender is the task, as in all that follow unless said otherwise.
task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"))
#: A task has run, however that ended: ``retval`` is what it returned or raised.
task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"))
#: A task has returned.
task_success = Signal("task_success", ("result",))
#: A task will run again: ``reason`` is the exception, ``einfo`` its traceback.
task_retry = Signal("task_retry", ("request", "reason", "einfo"))
#: A task has failed: ``traceback`` is that of Python, ``einfo`` the text of it.
task_failure = Signal("task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo"))
#: What surrounds the task has failed, not the task.
task_internal_error = Signal(
    "task_internal_error", ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo")
)
#: A task was revoked or has expired before it ran, or was terminated.
task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"))
#: A message cannot be read, or its content is not accepted. The sender is the worker's runner.
task_rejected = Signal("task_rejected", ("message", "exc"))
#: A message asks for a task that this worker does not know. The sender is the worker's runner.
task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"))

#: The modules of the app are about to be imported. The sender is the app.
import_modules = Signal("import_modules")
#: The app was imported, and the worker's options can still be changed in ``conf``. The sender is the worker's name.
celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
#: The worker's options are settled. The sender is the worker's name.
celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
#: Before the first process for tasks: what is loaded here, all of them share.
worker_init = Signal("worker_init")
#: A process for tasks is about to be forked, in the process that forks.
worker_before_create_process = Signal("worker_before_create_process")
#: The worker takes tasks.
worker_ready = Signal("worker_ready")
#: The worker was asked to end: ``sig`` names the signal, ``how`` is warm or cold.
worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
#: The worker has ended all its tasks, and is about to end.
worker_shutdown = Signal("worker_shutdown")
#: A heartbeat of the worker has reached the broker.
heartbeat_sent = Signal("heartbeat_sent")
#: A process that runs tasks has begun: called in it, before its first task, in its main thread. In each executor.
worker_process_init = Signal("worker_process_init")
#: A process that runs tasks is about to end as it should: called in it, after its last task. Not when it is killed.
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))

#: beat is about to start, with an app. The sender is its service.
beat_init = Signal("beat_init")

_LOGGING = ("loglevel", "logfile", "format", "colorize")

#: Logging is to be set up: who is connected does it, and Umbel leaves it alone. Called once the app is imported.
setup_logging = Signal("setup_logging", _LOGGING)
#: The root logger was set up.
after_setup_logger = Signal("after_setup_logger", ("logger", *_LOGGING))
#: The logger of tasks was set up.
after_setup_task_logger = Signal("after_setup_task_logger", ("logger", *_LOGGING))

#: A worker inside of a test (`umbel.testing`) begins, has begun, has ended.
test_worker_starting = Signal("test_worker_starting")
test_worker_started = Signal("test_worker_started", ("worker",))
test_worker_stopped = Signal("test_worker_stopped", ("worker",))

#: Celery's signals that have no meaning here, and why.
NOT_OFFERED: Final[dict[str, str]] = {
    "task_sent": "Celery has given it up: connect to after_task_publish",
    "beat_embedded_init": "beat is a process of its own, never a part of a worker: connect to beat_init",
    "eventlet_pool_started": "there are no green threads: --pool asyncio, and worker_process_init",
    "eventlet_pool_preshutdown": "there are no green threads: --pool asyncio, and worker_process_shutdown",
    "eventlet_pool_postshutdown": "there are no green threads: --pool asyncio, and worker_process_shutdown",
    "eventlet_pool_apply": "there are no green threads: --pool asyncio, and task_prerun",
    "user_preload_options": "the command line takes no options of the app: read environment variables",
}


def __getattr__(name: str) -> Signal:
    """Say of Celery's signals that there are none of here, what to do instead."""
    if name in NOT_OFFERED:
        raise ImportError(f"there is no signal {name}: {NOT_OFFERED[name]}")  # which is shown where it is imported
    raise AttributeError(f"there is no signal {name!r} in umbel.signals")
