"""beat as a process: its parts, how they start, and how they end."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from umbel.beat.definitions import Definitions, LoadError
from umbel.beat.directory import Directory
from umbel.beat.dispatcher import MAX_SLEEP, Dispatcher
from umbel.beat.entry import Entry
from umbel.beat.http import routes
from umbel.beat.janitor import Janitor
from umbel.beat.lease import Lease
from umbel.beat.loader import Loader
from umbel.beat.loop import Loop
from umbel.beat.metrics import gather
from umbel.beat.purger import Purger
from umbel.beat.redisstate import RedisState, look_at_redis
from umbel.beat.status import StatusBoard
from umbel.broker.base import Broker
from umbel.broker.redis import RedisBroker
from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.control.exposition import Sheet
from umbel.control.health import HealthServer
from umbel.errors import OperationalError
from umbel.redis.endpoint import Endpoint
from umbel.redis.purging import Purges
from umbel.redis.schedules import ScheduleStore

log = logging.getLogger("umbel.beat")

#: Seconds without a turn of the loop after which beat counts as stuck.
STUCK_AFTER = 30.0
#: Seconds between two looks at whether Redis is there.
PING_EVERY = 2.0


@dataclass(frozen=True)
class BeatOptions:
    """What beat is started with.

    Args:
        url: of Redis.
        prefix: of all keys.
        config_dir: directory of definitions; None for none.
        port: of the HTTP server; None for none, 0 for any free one.
        lock_ttl: seconds after which another beat takes over from a dead one.
        max_interval: seconds between two looks at the clock, at the most.
        own_queue_grace: seconds after a worker's end until its own queue ends.
    """

    url: str
    prefix: str = "umbel"
    config_dir: str | os.PathLike[str] | None = None
    port: int | None = None
    lock_ttl: float = 15.0
    max_interval: float = MAX_SLEEP
    own_queue_grace: float = 300.0


class Beat:
    """All parts of one beat process.

    Args:
        options: see there.
        app_entries: the app's own schedules, by uid.
        app_name: names their source, so that beats of two apps do not compete.
        keeping: returns a broker that keeps the ends of tasks where the app's results are; the broker itself unless given.
        clock: wall clock and monotonic time.
    """

    def __init__(
        self,
        options: BeatOptions,
        app_entries: Mapping[str, Entry] | None = None,
        app_name: str = "",
        keeping: Callable[[Broker], Broker] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._options = options
        self._clock = clock
        self._broker = RedisBroker(options.url, prefix=options.prefix)
        endpoint = Endpoint.from_environment(options.url)
        self._store = ScheduleStore(endpoint, options.prefix)
        self._purges = Purges(endpoint, options.prefix)
        ending = self._broker if keeping is None else keeping(self._broker)
        self._janitor = Janitor(ending, clock, options.own_queue_grace)
        self._redis = RedisState()
        self._app = self._dispatcher(f"app:{app_name}") if app_entries else None
        if self._app is not None:
            self._app.replace(dict(app_entries or {}))
        self._config: Dispatcher | None = None
        self._loader: Loader | None = None
        if options.config_dir is not None:
            self._loader = Loader(Directory(options.config_dir), self._store, self._broker, self._loaded)
        self._board = StatusBoard(
            self._store,
            self._broker,
            clock,
            entries=self._entries,
            definitions=self._definitions,
            errors=self._errors,
            leading=self._leading,
            redis=lambda: self._redis,
            purged=self._purges.purged,
        )
        self._loop = Loop("umbel-beat", self._tick, clock)
        self._others = [
            Loop("umbel-beat-janitor", self._janitor.look, clock),
            Loop("umbel-beat-ping", self._ping, clock),
        ]
        if self._loader is not None:
            loader = self._loader
            purger = Purger(self._purges, lambda: loader.newest, self._lease, ending, clock)
            self._others.append(Loop("umbel-beat-loader", self._loader.look, clock))
            self._others.append(Loop("umbel-beat-purger", purger.look, clock))
        self._http: HealthServer | None = None
        if options.port is not None:
            answers = routes(
                self._board.get, self._metrics, alive=self._alive, ready=self._why_not_ready, hint=self._hint
            )
            self._http = HealthServer(options.port, answers)

    @property
    def port(self) -> int | None:
        """The port of the HTTP server, None without one."""
        return None if self._http is None else self._http.port

    def start(self) -> None:
        """Start all parts. Redis need not be there yet."""
        if self._http is not None:
            self._http.start()
        for loop in (self._loop, *self._others):
            loop.start()
        log.info("beat.started", extra={"port": self.port, "config_dir": str(self._options.config_dir or "")})

    def stop(self) -> None:
        """Ask all parts to end, and give up the lead, so that another beat takes over at once."""
        for loop in (self._loop, *self._others):
            loop.stop()

    def join(self, timeout: float = 10.0) -> None:
        """Wait for all parts to end."""
        until = self._clock.monotonic() + timeout
        for loop in (self._loop, *self._others):
            loop.join(max(0.1, until - self._clock.monotonic()))
        for dispatcher in self._dispatchers():
            try:
                dispatcher.stop()
            except OperationalError as error:
                log.warning("beat.lock_kept", extra={"error": str(error)})
        if self._http is not None:
            self._http.stop()
        self._janitor.close()
        self._board.close()
        self._store.close()
        self._purges.close()
        self._broker.close()
        log.info("beat.stopped")

    # The main loop

    def _tick(self) -> float:
        wait = self._options.max_interval
        problem: OperationalError | None = None
        for dispatcher in self._dispatchers():
            try:
                wait = min(wait, dispatcher.tick())
            except OperationalError as error:
                problem = error  # the other source has its turn all the same
        if problem is not None:
            raise problem
        return wait

    def _dispatchers(self) -> list[Dispatcher]:
        return [dispatcher for dispatcher in (self._app, self._config) if dispatcher is not None]

    def _dispatcher(self, source: str) -> Dispatcher:
        options = self._options
        return Dispatcher(
            source, self._store, self._broker, self._clock, options.lock_ttl, max_sleep=options.max_interval
        )

    def _loaded(self, definitions: Definitions) -> None:
        source = f"config:{definitions.source}"
        dispatcher = self._config
        if dispatcher is None or dispatcher.lease.source != source:
            dispatcher = self._dispatcher(source)
            if self._config is not None:  # what was counted stays counted
                dispatcher.counts, dispatcher.lag = self._config.counts, self._config.lag
        dispatcher.replace(definitions.schedules)
        self._config = dispatcher
        self._loop.wake()

    # What the others ask

    def _ping(self) -> float:
        state = look_at_redis(self._broker)
        if state.ok != self._redis.ok:
            log.log(logging.INFO if state.ok else logging.WARNING, "redis.state", extra={"error": state.error or ""})
        self._redis = state
        return PING_EVERY

    def _entries(self) -> dict[str, Entry]:
        return {uid: entry for dispatcher in self._dispatchers() for uid, entry in dispatcher.entries.items()}

    def _definitions(self) -> Definitions:
        return self._loader.definitions if self._loader is not None else Definitions()

    def _errors(self) -> list[LoadError]:
        return self._loader.errors if self._loader is not None else []

    def _lease(self) -> Lease | None:
        """Return the lead in which queues may be purged: no run that was due before may come into one behind that."""
        dispatcher, loader = self._config, self._loader
        if dispatcher is None or loader is None or loader.definitions is not loader.newest or not dispatcher.in_step:
            return None
        return dispatcher.lease

    def _leading(self) -> bool:
        return any(dispatcher.leading for dispatcher in self._dispatchers())

    def _alive(self) -> bool:
        return self._clock.monotonic() - self._loop.ticked < STUCK_AFTER

    def _why_not_ready(self) -> str | None:
        return None if self._redis.ok else (self._redis.error or "Redis is not there")

    def _metrics(self) -> Sheet:
        return gather(self._board.get(), self._dispatchers(), os.environ.get("UMBEL_NAMESPACE", ""))

    def _hint(self, pod_uids: Iterable[str], nodeless: Iterable[str]) -> None:
        self._janitor.hint(pod_uids)
        self._janitor.hint(nodeless, deleted=False)
        self._others[0].wake()
