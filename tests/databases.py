"""Real databases for the tests: SQLite always, PostgreSQL and MariaDB (or MySQL) where their servers are on PATH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from tests.ports import free_port

#: Folders in which distributions hide servers.
_MORE = (*map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), "/usr/sbin", "/usr/local/sbin")
#: Seconds that a server may take to be made, and to start.
PATIENCE = 120.0


def find(*names: str) -> str | None:
    """Return the path of the first of these programs that is there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_MORE])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


class Database:
    """A server in a folder of its own; ``stop`` and ``start`` keep port and data.

    Servers refuse to run as root: then they run as ``nobody``.

    Args:
        kind: ``postgresql`` or ``mariadb``.
    """

    def __init__(self, kind: str) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"umbel-test-{kind}-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.directory, self._user)
            self.directory.chmod(0o755)
        self._data = self.directory / "data"
        make = {"postgresql": self._make_postgresql, "mariadb": self._make_mariadb}[kind]
        self.url, self._command = make()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, user=self._user, cwd=self.directory, start_new_session=True
            )
        try:
            self._wait_ready()
        except BaseException:
            self.remove()
            raise

    def _wait_ready(self) -> None:
        engine = sqlalchemy.create_engine(self.url.removeprefix("db+"), poolclass=sqlalchemy.pool.NullPool)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with engine.connect():
                    return
            except sqlalchemy.exc.OperationalError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError((self.directory / "log").read_text()[-4000:]) from None
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server at once, as if its machine had been switched off."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if "postgres" in self._command[0] else signal.SIGKILL)
        self._process.wait(PATIENCE)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # the whole group: it may be too young to obey
            self._process.wait(PATIENCE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _make_postgresql(self) -> tuple[str, list[str]]:
        self._run(find("initdb"), "-D", str(self._data), "-U", "umbel", "-A", "trust", "-E", "UTF8", "--no-sync")
        server = find("postgres") or ""
        command = [server, "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"]
        return f"db+postgresql+psycopg://umbel@127.0.0.1:{self.port}/postgres", command

    def _make_mariadb(self) -> tuple[str, list[str]]:
        # A folder of its own for what is temporary: a server that starts deletes what others have put into a common one.
        temporary = self.directory / "tmp"
        options = ["--no-defaults", f"--datadir={self._data}", f"--tmpdir={temporary}"]
        for folder in (self._data, temporary):
            folder.mkdir()
            if self._user:
                shutil.chown(folder, self._user)
        install = find("mariadb-install-db", "mysql_install_db")
        self._run(install, *options, "--auth-root-authentication-method=normal")
        command = [find("mariadbd", "mysqld") or "", *options, f"--port={self.port}", "--bind-address=127.0.0.1"]
        command += [f"--socket={self.directory / 's'}", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=2"]
        return f"db+mysql+pymysql://root@127.0.0.1:{self.port}/test?charset=utf8mb4", command

    def _run(self, *command: str | None) -> None:
        words = [word or "" for word in command]
        done = subprocess.run(words, user=self._user, cwd=self.directory, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr.decode()[-4000:] + done.stdout.decode()[-4000:]


#: The programs that each kind needs.
_NEEDED: dict[str, Callable[[], bool]] = {
    "postgresql": lambda: bool(find("initdb") and find("postgres")),
    "mariadb": lambda: bool(find("mariadb-install-db", "mysql_install_db") and find("mariadbd", "mysqld")),
}


def is_there(kind: str) -> bool:
    """Tell whether a server of this kind can be started here."""
    return _NEEDED[kind]()
