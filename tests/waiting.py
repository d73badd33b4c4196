"""Tests wait for conditions, never for a time."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
    """Fails once `condition` has not come true for so long."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.02)
