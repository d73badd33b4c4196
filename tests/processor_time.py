"""A bound on the processor time that a reader of outside text may take."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

BOUND_S = 1.0
TRACED_BOUND_S = 5.0  # measuring coverage slows a reader several times


@contextmanager
def bounded_time() -> Iterator[None]:
    """Fail if the body takes more than a second of this thread's processor time.

    Time on the clock would depend on what else the machine does. A reader of linear time takes a
    few hundredths of a second for what the tests give it; one that backtracks takes many seconds.
    """
    started = time.thread_time()
    yield
    duration_s = time.thread_time() - started
    bound_s = BOUND_S if sys.gettrace() is None else TRACED_BOUND_S
    assert duration_s < bound_s, f"took {duration_s:.2f} s of processor time"
