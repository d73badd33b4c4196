"""A wait for a condition: tests never sleep for a fixed time."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], description: str, patience_s: float = 60.0) -> None:
    """Fail unless `condition` becomes true within `patience_s`; the failure shows `description`."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {description}"
        time.sleep(0.02)
