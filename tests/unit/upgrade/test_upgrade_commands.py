"""What `umbel upgrade celery` says of command lines and packages."""

from __future__ import annotations

import pytest

from umbel.upgrade.commands import look_at
from umbel.upgrade.finding import Kind


def _becomes(line: str) -> str:
    (finding,) = look_at("Procfile", line)
    return finding.what.rpartition(" -> ")[2]


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("worker: celery -A proj worker -l info -c 4", "umbel -A proj worker -l info -c 4"),
        ("worker: celery worker -A proj -Q a,b", "umbel -A proj worker -Q a,b"),
        ("    command: celery --app=proj.app worker --loglevel=INFO", "umbel --app=proj.app worker --loglevel=INFO"),
        ('CMD ["celery", "-A", "proj", "worker", "-l", "info"]', "umbel -A proj worker -l info"),
        ("command: ['celery', '-A', 'proj', 'beat']", "umbel -A proj beat"),
        ("exec celery -A ${APP} worker --autoscale 10,2 -c 2", 'umbel -A "${APP}" worker -c 2'),
        ("\tcelery -A proj purge && echo done", "umbel -A proj purge"),
        ("python -m celery -A proj status", "umbel -A proj status"),
        (
            "celery -A proj beat -S django_celery_beat.schedulers:DatabaseScheduler -l info",
            "umbel -A proj beat -l info",
        ),
    ],
)
def test_a_command_line(line: str, becomes: str) -> None:
    assert _becomes(line) == becomes


def test_what_is_left_out_is_told_with_a_reason() -> None:
    (finding,) = look_at("Makefile", "celery -A p worker --autoscale=3,1 --pidfile /x.pid")
    assert "--autoscale: pods follow the load" in finding.why
    assert "--pidfile: a supervisor" in finding.why


def test_a_command_that_there_is_not() -> None:
    (finding,) = look_at("compose.yaml", "celery -A p flower --port=5555")
    assert finding.kind is Kind.NOT_OFFERED


@pytest.mark.parametrize(
    "line",
    [
        "# celery is nice",
        "service_celery: x",
        "name: celery",
        "pip install celery",
        "image: my/celery worker",
        "celery.log",
        "the celery app",
    ],
)
def test_what_is_no_command_line(line: str) -> None:
    assert look_at("compose.yaml", line) == []


def test_packages() -> None:
    found = look_at("requirements.txt", "celery[redis]==5.4.0\nDjango==5\nflower\nkombu>=5\n")
    assert [finding.what for finding in found] == [
        "celery[redis]==5.4.0 -> umbel",
        "flower -> (umbel status, umbel inspect, /metrics)",
        "kombu>=5 -> (not needed)",
    ]
    assert [finding.line for finding in found] == [1, 3, 4]
