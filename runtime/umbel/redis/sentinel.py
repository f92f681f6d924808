"""Find the master by asking the Sentinels, at each connect: so every reconnect after a failover finds the new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from umbel.errors import OperationalError
from umbel.redis.connection import ConnectionBroken, RedisConnection, ServerRefused
from umbel.redis.members import Address, Members

#: Opens a connection: address, who we are, seconds; with the database selected or, for a Sentinel, not.
Open = Callable[[Address, str | None, str | None, float, bool], RedisConnection]
T = TypeVar("T")

#: Seconds that one Sentinel may take, of those that there are in all.
LONGEST, SHORTEST = 1.0, 0.1
#: Answers of a Sentinel or of a server that does not want the credentials, or wants some.
_UNWILLING = frozenset({"NOAUTH", "NOPERM"})


def connect(
    members: Members, opening: Open, username: str | None, password: str | None, timeout: float
) -> RedisConnection:
    """Open a connection to the master.

    Args:
        members: the Sentinels, and the master's name.
        opening: see `Open`.
        username, password: for the master.
        timeout: seconds for all Sentinels, and again for the master.

    Raises:
        ConnectionBroken: no Sentinel answers, or none names a master that is one; nothing was sent.
        OperationalError: the master refuses the credentials, or no Sentinel takes them.
    """
    share = min(LONGEST, max(SHORTEST, timeout / len(members.addresses)))
    said: list[str] = []
    refused: OperationalError | None = None
    seen: set[Address] = set()
    for sentinel in members.addresses:
        where = f"{sentinel[0]}:{sentinel[1]}"
        try:
            master = _ask(members, sentinel, opening, username, password, share)
        except ConnectionBroken as error:
            said.append(f"{where}: {error}")
            continue
        except OperationalError as error:
            said.append(f"{where}: {error}")
            refused = error
            continue
        if master is None:
            said.append(f"{where} knows no master {members.master!r}")
        elif master not in seen:
            seen.add(master)
            try:
                return _enter(master, opening, username, password, timeout)
            except ConnectionBroken as error:
                # Before a failover ends, some or all of them still name the dead one.
                said.append(f"{where} names {master[0]}:{master[1]}: {error}")
    if refused is not None and not seen:
        raise refused
    raise ConnectionBroken(f"no Sentinel leads to a master ({'; '.join(said)})", sent=False)


def _ask(
    members: Members, sentinel: Address, opening: Open, username: str | None, password: str | None, timeout: float
) -> Address | None:
    """Return where one Sentinel says that the master is, None if it knows none of that name.

    A Sentinel has credentials of its own, or none, or (as it is often set up) the master's.
    """
    own = (members.sentinel_username, members.sentinel_password)
    connection = opening(sentinel, *own, timeout, False)
    try:
        try:
            answer = _where(connection, members.master, timeout)
        except ServerRefused as error:
            if error.code not in _UNWILLING or own[1] or not password:
                raise
            connection.close()
            connection = opening(sentinel, username, password, timeout, False)
            answer = _where(connection, members.master, timeout)
    finally:
        connection.close()
    return None if answer is None else (answer[0].decode(), int(answer[1]))


def _where(connection: RedisConnection, master: str, timeout: float) -> list[bytes] | None:
    found: list[bytes] | None = connection.call(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", master, timeout=timeout)
    return found


def _enter(
    master: Address, opening: Open, username: str | None, password: str | None, timeout: float
) -> RedisConnection:
    """Connect to the master, and see that it is one: a Sentinel that was cut off names the former."""
    connection = opening(master, username, password, timeout, True)
    try:
        role = connection.call(b"ROLE", timeout=timeout)[0]
    except ServerRefused as error:
        if error.code not in _UNWILLING:
            connection.close()
            raise ConnectionBroken(error, sent=False) from error
        return connection  # may not ask: a replica refuses what is written to it
    except BaseException:
        connection.close()
        raise
    if role != b"master":
        connection.close()
        raise ConnectionBroken(f"it is a {role.decode()}", sent=False)
    return connection
