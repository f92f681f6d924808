"""A master, two replicas and three Sentinels, as real processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import redis
from tests.redis_server import RedisServer, server_binary
from tests.workers import until

MASTER = "primary"


class Sentinel(RedisServer):
    """One Sentinel."""

    def __init__(
        self, watched: RedisServer, password: str | None, watched_password: str | None, down_after: int
    ) -> None:
        super().__init__(password=password)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.directory}",
            f"sentinel monitor {MASTER} 127.0.0.1 {watched.port} 2",
            f"sentinel down-after-milliseconds {MASTER} {down_after}",
            f"sentinel failover-timeout {MASTER} 3000",
            f"sentinel parallel-syncs {MASTER} 2",
        ]
        if watched_password:
            lines.append(f"sentinel auth-pass {MASTER} {watched_password}")
        if password:
            lines += [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
        self.config = self.directory / "sentinel.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        self.launch([server_binary(), str(self.config), "--sentinel"])
        self.wait()


class SentinelTrio:
    """The servers, with ways to see and to break them.

    Args:
        password: of the master and its replicas.
        sentinel_password: of the Sentinels.
        down_after: milliseconds of silence after which a Sentinel takes a server for dead: nobody, on a busy machine.
    """

    def __init__(
        self, *, password: str | None = None, sentinel_password: str | None = None, down_after: int = 15000
    ) -> None:
        more: tuple[str, ...] = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        if password:
            more += ("--requirepass", password, "--masterauth", password)
        self._first = RedisServer(arguments=more, password=password)
        more += ("--replicaof", "127.0.0.1", str(self._first.port))
        self.servers = [self._first, *(RedisServer(arguments=more, password=password) for _ in range(2))]
        self.sentinels = [Sentinel(self._first, sentinel_password, password, down_after) for _ in range(3)]

    @property
    def url(self) -> str:
        """What an app is given, without credentials."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{MASTER}/0"

    def start(self) -> None:
        """Start all, and wait until the Sentinels know each other and both replicas."""
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(RedisServer.start, self.servers))
            until(lambda: self._replicas_of(self._first) == 2, "both replicas are up to date")
            list(pool.map(Sentinel.start, self.sentinels))
        until(lambda: all(map(self._knows_all, self.sentinels)), "the Sentinels know each other and the replicas", 60)

    def _replicas_of(self, server: RedisServer) -> int:
        with server.client() as client:
            return sum(1 for one in client.role()[2] if int(one[2]) > 0)

    @staticmethod
    def _knows_all(sentinel: Sentinel) -> bool:
        with sentinel.client() as client:
            flat = client.execute_command("SENTINEL", "MASTER", MASTER)
            told = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
            told = {_text(name): _text(value) for name, value in told.items()}
            others = int(told["num-other-sentinels"])
            return int(told["num-slaves"]) == 2 and others == 2 and told["flags"] == "master"

    def master(self) -> RedisServer | None:
        """Return the server that most Sentinels name and that is a master, None while there is none."""
        named = []
        for sentinel in self.sentinels:
            try:
                with sentinel.client() as client:
                    named.append(int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]))
            except redis.RedisError:
                continue
        for server in self.servers:
            if named.count(server.port) >= 2:
                return server if server.role() == "master" else None
        return None

    def client(self) -> redis.Redis:
        """Return a client of the master, for looking from outside."""
        return until(self.master, "there is a master").client()  # type: ignore[no-any-return]

    def remove(self) -> None:
        """Kill all and delete their data."""
        for server in (*self.sentinels, *self.servers):
            server.go_on()
            server.remove()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
