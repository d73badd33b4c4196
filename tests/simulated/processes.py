"""What runs for an endpoint, also what left its session and lost its parents: found by the environment it inherited.

Missed is only a process that has cleared its environment and outlived all its parents.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LEFT_S = 10.0


async def kill_all(mark: Set[bytes], roots: Callable[[], Set[int]]) -> None:
    """Kills, again and again, until nothing is left: a process may start another while one looks."""
    deadline = time.monotonic() + _LEFT_S
    while (found := find(mark, roots())) or roots():
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {_LEFT_S:g} s of SIGKILL: {sorted(found)}")
        await asyncio.sleep(0.005)


def find(mark: Set[bytes], roots: Set[int] = frozenset()) -> set[int]:
    """Living processes that have all of `mark` in their environment, or are `roots`, and what descends from them."""
    children: dict[int, list[int]] = {}
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            pid = int(entry.name)
            children.setdefault(parent, []).append(pid)
            if pid in roots or mark <= _environment(entry):
                found.append(pid)
    seen: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in seen:
            seen.add(pid)
            found += children.get(pid, [])
    return seen


def _parent(entry: Path) -> int | None:
    """None for what is gone or only waits to be reaped."""
    try:
        state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in b"ZX" else int(parent)


def _environment(entry: Path) -> Set[bytes]:
    try:
        return frozenset((entry / "environ").read_bytes().split(b"\0"))
    except OSError:  # another user's, or gone
        return frozenset()
