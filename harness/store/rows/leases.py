"""Who may use a device: places in a queue that expire unless they are renewed."""

import getpass
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy import text as sql

from harness.core.ids import content_id
from harness.store.database import write_transaction
from harness.store.tables import identity, leases


@dataclass(frozen=True)
class LeasePosition:
    """`holder` has the device now; it is ours where `first`. `waiting`: how many others want it."""

    is_first: bool
    holder: str
    waiting: int


@cache
def describe_owner() -> str:
    """Who we are, in words for people."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"


@cache
def identify_process() -> str:
    """Who we are, so that others on this machine can see that we have died: machine, process names, number, start."""
    return " ".join((*_machine(), str(os.getpid()), _started(os.getpid()) or ""))


def _machine() -> tuple[str, str]:
    """This boot of this machine, and the namespace in which process numbers mean the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(
        Path("/proc/self/ns/pid").readlink()
    )


def _started(pid: int) -> str | None:
    """When a process was started, in clock ticks since boot; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def is_dead(process: str) -> bool:
    """Whether it surely is: of a process elsewhere nothing is known."""
    *machine, pid, started = process.rsplit(" ", 2)
    return machine == [" ".join(_machine())] and _started(int(pid)) != started


class Leases:
    """A place expires `seconds` after it was last renewed."""

    def __init__(self, engine: Engine, seconds: float = 120.0) -> None:
        self._engine = engine
        self._seconds = seconds

    def renew(self, wanted: Mapping[str, str]) -> dict[str, LeasePosition]:
        """Takes or keeps a place for each device, under a token of its own; one that expired goes to the end."""
        with write_transaction(self._engine) as connection:
            clock = _clock(connection)
            self._drop_dead(connection, clock)
            mine = (leases.c.token.in_(wanted.values()),)
            connection.execute(update(leases).where(*mine).values(expires=clock + self._seconds))
            there = set(connection.scalars(select(leases.c.token).where(*mine)))
            missing = [
                self._row(device, token, clock=clock)
                for device, token in wanted.items()
                if token not in there
            ]
            if missing:
                connection.execute(insert(leases), missing)
            return _places(connection, wanted)

    def _row(self, device: str, token: str, clock: float) -> dict[str, object]:
        expires = clock + self._seconds
        return {
            "device": device,
            "token": token,
            "owner": describe_owner(),
            "process": identify_process(),
            "expires": expires,
        }

    def _drop_dead(self, connection: Connection, clock: float) -> None:
        connection.execute(delete(leases).where(leases.c.expires < clock))
        for one in connection.scalars(select(leases.c.process).distinct()):
            if is_dead(one):
                connection.execute(delete(leases).where(leases.c.process == one))

    def get_database_id(self) -> str:
        """What tells this database from all others: its own id, and for a file, which may be copied, where it is."""
        with self._engine.connect() as connection:
            id = connection.execute(select(identity.c.id)).scalar_one()
        file = self._engine.url.database if self._engine.dialect.name == "sqlite" else ""
        return content_id(
            [id, socket.gethostname() if file else "", str(Path(file).absolute()) if file else ""]
        )

    def release(self, tokens: list[str]) -> None:
        with write_transaction(self._engine) as connection:
            connection.execute(delete(leases).where(leases.c.token.in_(tokens)))


def _places(connection: Connection, wanted: Mapping[str, str]) -> dict[str, LeasePosition]:
    query = select(leases).where(leases.c.device.in_(wanted)).order_by(leases.c.number)
    lines: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(query).mappings():
        lines.setdefault(row["device"], []).append((row["token"], row["owner"]))
    return {device: _place(lines[device], token) for device, token in wanted.items()}


def _place(line: list[tuple[str, str]], token: str) -> LeasePosition:
    first, holder = line[0]
    return LeasePosition(first == token, holder, waiting=sum(other != token for other, _ in line))


def _clock(connection: Connection) -> float:
    """The database's, which all its users share; a SQLite file is used on one machine."""
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(
        connection.execute(sql("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    )
