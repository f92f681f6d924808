"""The pages of the reference name what the code has: nothing is missing, nothing is made up."""

from __future__ import annotations

import re

from tests.workers import ROOT

from umbel import Task, meters, signals
from umbel.options import CallOptions, TaskOptions
from umbel.redis import keys
from umbel_operator.runtime import meters as operator_meters


def _rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    text = (ROOT / "docs/reference" / page).read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    lines = text.partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def test_the_options_of_a_task_and_their_defaults() -> None:
    rows = {row[0].strip("`"): row[1] for row in _rows("task-options.md", "Options of a task")}
    assert set(rows) == {*TaskOptions.__annotations__, "bind"}
    for name, shown in rows.items():
        default = getattr(Task, name, None)
        if name not in ("bind", "name", "base", "shadow_name") and default is not None:
            assert shown == f"`{default!r}`", name
        elif default is None and name not in ("bind", "name", "base"):
            assert shown.startswith(("setting", "none")), name


def test_the_options_of_a_call() -> None:
    assert {row[0].strip("`") for row in _rows("task-options.md", "Options of a call")} == set(
        CallOptions.__annotations__
    )


def test_every_key_is_on_its_page() -> None:
    page = (ROOT / "docs/reference/redis-keys.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(<p>:[^`]+)`", page))
    queue, schedule = keys.queue("<p>", "<queue>"), keys.schedule("<p>", "<schedule>")
    spelled = {queue.meta, queue.bell, queue.eta, queue.inflight, queue.dead, schedule.state, schedule.runs}
    spelled |= {
        keys.owned("<p>", "<queue>", "<owner>"),
        keys.run("<p>", "<queue>", "<run>"),
        keys.rate("<p>", "<queue>", "<key>"),
        keys.lock("<p>", "<queue>", "<key>"),
        keys.deaths("<p>", "<queue>"),
        keys.forwarded("<p>", "<queue>", "<nonce>"),
        keys.purged("<p>", "<queue>"),
        keys.own_watch("<p>"),
        keys.own_turn("<p>"),
        keys.owned("<p>", "<queue>", keys.ENDED),
        keys.agreed("<p>", "<queue>", "<nonce>"),
        keys.copied("<p>", "<queue>", "<nonce>"),
        queue.fair,
        queue.clocks,
        queue.dropped,
        queue.hold,
        queue.park,
        keys.beats("<p>"),
        keys.result_part("<p>", "<task id>", "<nonce>", "<number>"),  # type: ignore[arg-type]
        keys.registry("<p>", "<owner>"),
        keys.dying("<p>"),
        keys.events("<p>"),
        keys.queue_names("<p>"),
        keys.revoked("<p>"),
        keys.control_channel("<p>"),
        keys.answers_channel("<p>", "<client>"),
        keys.result("<p>", "<task id>"),
        keys.inbox("<p>", "<client>"),
        *keys.workflow("<p>", "<workflow>"),
        keys.workflow_guard("<p>", "<queue>", "<workflow>"),
        keys.workflow_of("<p>", "<task id>"),
        keys.beat_lock("<p>", "<source>"),
        keys.beat_epoch("<p>", "<source>"),
    }
    assert spelled <= named
    assert {key.rstrip("0123456789") for key in queue.ready} == {"<p>:{<queue>}:r:"}
    assert named - spelled == {"<p>:{<queue>}:r:<0-9>", schedule.ended}


def test_every_metric_that_a_guide_names_is_one() -> None:
    real = {meter.name for meter in (*meters.WORKER, *meters.BEAT, *operator_meters.ALL)}
    for path in sorted((ROOT / "docs/how-to").glob("*.md")):
        named = re.findall(
            r"\bumbel_(?:task|tasks|worker|queue|schedule|beat|operator)_[a-z_]+\b", path.read_text("utf-8")
        )
        assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} <= real, path


def test_every_signal_and_its_arguments() -> None:
    rows = [row for heading in ("Tasks", "Workers", "Logging, beat, tests") for row in _rows("signals.md", heading)]
    shown = {row[0].strip("`"): frozenset(re.findall(r"`(\w+)`", row[1])) for row in rows}
    there = {name: value for name, value in vars(signals).items() if isinstance(value, signals.Signal)}
    assert shown == {name: signal.provides for name, signal in there.items()}
    text = (ROOT / "docs/reference/signals.md").read_text(encoding="utf-8").partition("## Not offered")[2]
    assert set(re.findall(r"`(\w+)`", text)) == set(signals.NOT_OFFERED)
