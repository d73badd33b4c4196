"""Leases of devices: a line for each device, whose positions expire unless they are renewed."""

import getpass
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy import text as sql

from harness.core.ids import content_id
from harness.store.database import write_transaction
from harness.store.tables import identity, leases

_UNKNOWN_MACHINE = ("unknown", "unknown")
_PROCESS = re.compile(r"(?P<machine>.*) (?P<pid>[0-9]{1,7}) (?P<start>[0-9]{1,20})")


@dataclass(frozen=True)
class LeasePosition:
    """A position in the line for a device.

    The `holder` has the device now, which is we if `is_first`; `waiting` counts all others in line.
    """

    is_first: bool
    holder: str
    waiting: int


@cache
def describe_owner() -> str:
    """Return user, machine and process number of this process, for people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"


@cache
def identify_process() -> str:
    """Return boot, process namespace, number and start time of this process.

    From these, others on this machine can see that it has died. They can't where /proc is hidden.
    """
    return " ".join((*_identify_machine(), str(os.getpid()), _start_time(os.getpid()) or ""))


def _identify_machine() -> tuple[str, str]:
    """Return this machine's boot id, and the namespace within which its process numbers hold.

    Both are `unknown` where /proc is hidden, as from apps on Android.
    """
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot_id, str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN_MACHINE


def _start_time(pid: str | int) -> str | None:
    """Return a process's start time in clock ticks since boot, or None if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return None


def is_dead(process: str) -> bool:
    """Return whether the process has certainly died.

    Of a process on another machine, or one that is not identified, this is never certain.
    """
    match = _PROCESS.fullmatch(process)
    machine = _identify_machine()
    if match is None or machine == _UNKNOWN_MACHINE or match["machine"] != " ".join(machine):
        return False
    start_time = _start_time(match["pid"])
    return not _exists(int(match["pid"])) if start_time is None else start_time != match["start"]


def _exists(pid: int) -> bool:
    """Return whether a process exists; that of another user may be hidden in /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Leases:
    """The lines for devices.

    Calls of `renew` take turns, in all processes that share the database: at most one position is
    first in a line. A position expires `seconds` after it was last renewed. Whoever is first may
    therefore use the device until then, and no longer without renewing.
    """

    def __init__(self, engine: Engine, seconds: float = 120.0) -> None:
        self._engine = engine
        self._seconds = seconds

    def renew(self, tokens: Mapping[str, str]) -> dict[str, LeasePosition]:
        """Take or keep a position for each device, given the caller's token for it.

        A position that has expired starts again at the end of the line.
        """
        with write_transaction(self._engine) as connection:
            _take_turns(connection)
            clock = read_clock(connection)
            _delete_dead(connection, clock)
            is_ours = leases.c.token.in_(tokens.values())
            connection.execute(update(leases).where(is_ours).values(expires=clock + self._seconds))
            standing = set(connection.scalars(select(leases.c.token).where(is_ours)))
            rows = [
                {
                    "device": device,
                    "token": token,
                    "owner": describe_owner(),
                    "process": identify_process(),
                    "expires": clock + self._seconds,
                }
                for device, token in tokens.items()
                if token not in standing
            ]
            if rows:
                connection.execute(insert(leases), rows)
            return _read_positions(connection, tokens)

    def get_database_id(self) -> str:
        """Return what tells this database from all others.

        That is its own id and, as a file may be copied, a SQLite file's machine and path.
        """
        with self._engine.connect() as connection:
            database_id = connection.execute(select(identity.c.id)).scalar_one()
        file = self._engine.url.database if self._engine.dialect.name == "sqlite" else ""
        place = [socket.gethostname(), str(Path(file).absolute())] if file else ["", ""]
        return content_id([database_id, *place])

    def release(self, tokens: Sequence[str]) -> None:
        if not tokens:
            return
        with write_transaction(self._engine) as connection:
            connection.execute(delete(leases).where(leases.c.token.in_(tokens)))


def _take_turns(connection: Connection) -> None:
    """Wait for other calls of `renew`.

    PostgreSQL would let two proceed at once. Neither would see the other's position, and both would
    be first.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE")


def _delete_dead(connection: Connection, clock: float) -> None:
    connection.execute(delete(leases).where(leases.c.expires < clock))
    # All are read first, so that no cursor stays open if an error is raised.
    for process in connection.scalars(select(leases.c.process).distinct()).all():
        if is_dead(process):
            connection.execute(delete(leases).where(leases.c.process == process))


def _read_positions(connection: Connection, tokens: Mapping[str, str]) -> dict[str, LeasePosition]:
    query = select(leases).where(leases.c.device.in_(tokens)).order_by(leases.c.number)
    lines: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(query).mappings():
        lines.setdefault(row["device"], []).append((row["token"], row["owner"]))
    return {device: _find_position(lines[device], token) for device, token in tokens.items()}


def _find_position(line: list[tuple[str, str]], token: str) -> LeasePosition:
    first, holder = line[0]
    waiting = sum(other != token for other, _ in line)
    return LeasePosition(first == token, holder, waiting=waiting)


def read_clock(connection: Connection) -> float:
    """Return the database's time, which all its users share; a SQLite file's is this machine's."""
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(
        connection.execute(sql("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    )
