"""The store of workflows on Redis: three hashes a workflow, in one slot; guards in the slots of the queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from umbel import record as records
from umbel.broker.data import Outgoing
from umbel.broker.redis.consumer import store
from umbel.broker.redis.entering import newer_layout
from umbel.clock import full_milliseconds
from umbel.errors import LayoutError, QueueClosed
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, RedisConnection
from umbel.redis.pool import Pool
from umbel.workflow.base import Due, Ending, Gathered, Snapshot, Step
from umbel.workflow.graph import Graph
from umbel.workflow.ids import split_id

T = TypeVar("T")

#: Rows, values, or messages of one call, and bytes of them, so that no script holds Redis for long.
CHUNK: Final = 500
CHUNK_BYTES: Final = 1_000_000
#: Seconds that is remembered, after a workflow's end, what was published: a frozen process may repeat a step.
GUARD_KEPT: Final = 600.0


class RedisWorkflows:
    """See `umbel.workflow.base.Workflows`.

    Args:
        pool: the broker's connections.
        prefix: of all keys.
        name: tells Redis the name of a queue, now and then.
    """

    def __init__(self, pool: Pool, prefix: str, name: Callable[[RedisConnection, str], None]) -> None:
        self._pool = pool
        self._prefix = prefix
        self._name = name

    def create(self, graph: Graph, *, ttl: float, keep: float) -> bool:
        names = keys.workflow(self._prefix, graph.workflow)[:2]
        head: list[Argument] = [1, int(ttl * 1000), int(keep * 1000), graph.entries, graph.size]

        def work(connection: RedisConnection) -> bool:
            answers = []
            for index, rows in enumerate(_chunks(graph.rows())):
                head[0] = int(index == 0)
                answers.append(scripts.workflow_create(connection, names, [*head, *rows]))
            pointers: list[tuple[Argument, ...]] = [
                (b"SET", keys.workflow_of(self._prefix, task_id), f"{graph.workflow} {node}", b"PX", int(ttl * 1000))
                for task_id, node in graph.ids.items()
            ]
            if pointers:
                connection.call_many(pointers)
            return bool(answers[0] == 1)

        return self._run(work)

    def end(self, workflow: str, ending: Ending) -> Step | None:
        names = keys.workflow(self._prefix, workflow)
        join, place = ("", "") if ending.place is None else (str(ending.place[0]), str(ending.place[1]))
        told = f"{ending.ended_ms} {ending.runtime_ms}"
        arguments: list[Argument] = [ending.node, ending.kind, told, ending.value, join, place]
        answer = self._run(lambda connection: scripts.workflow_end(connection, names, arguments))
        if answer[0] == b"gone":
            return None
        kind, value, over, ttl, due, exits, *queues = answer
        if queues and queues[0]:
            self._release(workflow, queues[0])
        return Step(
            kind.decode(),
            value,
            bool(over),
            [Due(*_range(due, index), _text(due[index + 2])) for index in range(0, len(due), 3)],
            [(*_range(exits, index), bool(exits[index + 2])) for index in range(0, len(exits), 3)],
            ttl,
        )

    def publish(self, workflow: str, queue: str, ttl: float, messages: Sequence[tuple[int, Outgoing]]) -> None:
        own = keys.queue(self._prefix, queue)
        guard = keys.workflow_guard(self._prefix, queue, workflow)
        names = [guard, own.meta, own.bell, own.eta, *own.ready, own.fair, own.clocks]
        flat = [(node, outgoing.payload, full_milliseconds(outgoing.delay)) for node, outgoing in messages]

        def work(connection: RedisConnection) -> Any:
            self._name(connection, queue)
            for part in _chunks(flat):
                answer = scripts.publish_once(connection, names, [keys.LAYOUT, int(ttl * 1000), *part])
                if answer[0] != b"ok":
                    return answer
                if answer[3]:  # its name may be forgotten, though it was told a moment ago
                    connection.call(b"SADD", keys.queue_names(self._prefix), queue)
            return None

        answer = self._run(work)
        if answer is None:
            return
        if answer[0] == b"closed":
            raise QueueClosed(
                f"queue {queue!r} takes no new tasks: its intake is Reject (set the TaskQueue's intake to Accept)"
            )
        raise LayoutError(newer_layout(queue, answer[1]))

    def close(self, workflow: str, told: str = "") -> None:
        names = keys.workflow(self._prefix, workflow)
        queues = self._run(lambda connection: scripts.workflow_close(connection, names, (told,)))
        if queues:
            self._release(workflow, queues)

    def drop(self, workflow: str) -> None:
        self._run(lambda connection: connection.call(b"UNLINK", *keys.workflow(self._prefix, workflow)))

    def rows(self, workflow: str, nodes: Sequence[int]) -> list[bytes | None]:
        graph = keys.workflow(self._prefix, workflow)[0]
        return self._fields(graph, [str(node) for node in nodes])

    def values(self, workflow: str, join: int) -> Gathered | None:
        graph, states, values = keys.workflow(self._prefix, workflow)

        def size(connection: RedisConnection) -> list[Any]:
            return connection.call_many([(b"HMGET", graph, f"j{join}", f"s{join}"), (b"HGET", states, f"g{join}")])

        (row, nested), grown = self._run(size)
        if row is None:
            return None
        places = int(row.partition(b"|")[0]) + int(grown or 0)
        return Gathered(self._fields(values, [f"{join}:{place}" for place in range(places)]), nested)

    def failure(self, workflow: str, node: int) -> bytes | None:
        name = keys.workflow(self._prefix, workflow)[2]
        found: bytes | None = self._run(lambda connection: connection.call(b"HGET", name, f"e{node}"))
        return found

    def grow(self, workflow: str, join: int, token: str) -> tuple[int, int] | None:
        names = keys.workflow(self._prefix, workflow)[:2]
        answer = self._run(lambda connection: scripts.workflow_grow(connection, names, [join, token]))
        return (answer[0], answer[1]) if answer else None

    def revoke(self, workflow: str) -> list[tuple[int, int]] | None:
        names = keys.workflow(self._prefix, workflow)[:2]
        answer = self._run(lambda connection: scripts.workflow_revoke(connection, names))
        return None if answer is None else [_range(answer, index) for index in range(0, len(answer), 2)]

    def find(self, task_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for start in range(0, len(task_ids), CHUNK):
            found |= self._found(task_ids[start : start + CHUNK])
        return found

    def _found(self, task_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        meant = {task_id: split_id(task_id) for task_id in task_ids}
        possible = list(dict.fromkeys(place[0] for place in meant.values() if place is not None))
        looks: list[tuple[Argument, ...]] = [(b"GET", keys.workflow_of(self._prefix, name)) for name in task_ids]
        looks += [(b"EXISTS", keys.workflow(self._prefix, workflow)[0]) for workflow in possible]
        answers = self._run(lambda connection: connection.call_many(looks))
        there = {name for name, exists in zip(possible, answers[len(task_ids) :], strict=True) if exists}
        found = {task_id: place for task_id, place in meant.items() if place is not None and place[0] in there}
        for task_id, pointer in zip(task_ids, answers[: len(task_ids)], strict=True):
            if pointer is not None:
                workflow, _, node = pointer.decode().partition(" ")
                found[task_id] = (workflow, int(node))
        return found

    def look(self, workflow: str) -> Snapshot | None:
        graph, states, values = keys.workflow(self._prefix, workflow)

        def work(connection: RedisConnection) -> tuple[Any, Any, Any]:
            return _scan(connection, graph), _scan(connection, states), connection.call(b"HKEYS", values)

        rows, flags, held = self._run(work)
        if not rows or b"about" not in rows:
            return None
        filled = {tuple(map(int, name.split(b":"))) for name in held if b":" in name}
        return Snapshot(
            {name.decode(): value for name, value in rows.items()},
            {name.decode(): value.decode() for name, value in flags.items()},
            filled,  # type: ignore[arg-type]
        )

    def tell(self, task_id: str, record: bytes, ttl: float, reply_to: str | None) -> bool:
        read = records.decode(record)
        return self._run(lambda connection: store(connection, self._prefix, task_id, read, ttl, reply_to))

    def _release(self, workflow: str, queues: bytes) -> None:
        """Let the guards of a workflow that is over go soon. Should this process die first, they have their TTL."""
        commands: list[tuple[Argument, ...]] = [
            (b"PEXPIRE", keys.workflow_guard(self._prefix, queue, workflow), int(GUARD_KEPT * 1000))
            for queue in queues.decode().split("\n")
        ]
        self._run(lambda connection: connection.call_many(commands))

    def _fields(self, name: str, fields: Sequence[str]) -> list[bytes | None]:
        def work(connection: RedisConnection) -> list[bytes | None]:
            found: list[bytes | None] = []
            for start in range(0, len(fields), CHUNK):
                found += connection.call(b"HMGET", name, *fields[start : start + CHUNK])
            return found

        return self._run(work)

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        return self._pool.run(work, repeat=True)


def _range(flat: Sequence[Any], index: int) -> tuple[int, int]:
    return int(flat[index]), int(flat[index + 1])


def _text(value: Any) -> str:
    return str(value.decode())


def _chunks(items: Sequence[tuple[Any, ...]]) -> Iterator[list[Argument]]:
    """Divide into flat lists of so many items and so many bytes at most."""
    part: list[Argument] = []
    count = size = 0
    for item in items:
        weight = sum(len(value) for value in item if isinstance(value, (bytes, str)))
        if part and (count >= CHUNK or size + weight > CHUNK_BYTES):
            yield part
            part, count, size = [], 0, 0
        part += item
        count += 1
        size += weight
    if part:
        yield part


def _scan(connection: RedisConnection, name: str) -> dict[bytes, bytes]:
    """Read a whole hash, in steps."""
    found: dict[bytes, bytes] = {}
    cursor = b"0"
    while True:
        cursor, flat = connection.call(b"HSCAN", name, cursor, b"COUNT", 1000)
        found.update(zip(flat[::2], flat[1::2], strict=True))
        if cursor == b"0":
            return found
