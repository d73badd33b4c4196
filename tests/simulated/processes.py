"""The processes of an endpoint, found by the environment that they inherited.

That finds those that left their session and outlived their parents, too, unless they have also
cleared their environment.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_KILL_TIMEOUT_S = 10.0


async def kill_all(mark: Set[bytes], roots: Callable[[], Set[int]]) -> None:
    """Kill processes until none is left: one may start another between two searches."""
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while (pids := find_processes(mark, roots())) or roots():
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"still running after {_KILL_TIMEOUT_S:g} s of SIGKILL: {sorted(pids)}"
            )
        await asyncio.sleep(0.005)


def find_processes(mark: Set[bytes], roots: Set[int] = frozenset()) -> set[int]:
    """Return the running processes with all of `mark` in their environment.

    The `roots`, and the descendants of all these, are included.
    """
    children: dict[int, list[int]] = {}
    queue = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent_of(entry)) is not None:
            pid = int(entry.name)
            children.setdefault(parent, []).append(pid)
            if pid in roots or mark <= _read_environment(entry):
                queue.append(pid)
    pids: set[int] = set()
    while queue:
        pid = queue.pop()
        if pid not in pids:
            pids.add(pid)
            queue += children.get(pid, [])
    return pids


def _parent_of(entry: Path) -> int | None:
    """Return the parent of a process, or None if it has ended."""
    try:
        state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in b"ZX" else int(parent)


def _read_environment(entry: Path) -> Set[bytes]:
    try:
        return frozenset((entry / "environ").read_bytes().split(b"\0"))
    except OSError:  # another user's process, or ended
        return frozenset()
