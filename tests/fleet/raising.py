"""Errors at chosen calls of chosen threads, without a mock: a profiler raises them."""

import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import harness

_PACKAGE = Path(harness.__file__).parent
# An error instead of one of these would leave a lock held, or be dropped: neither is a real fault.
_UNFAILING = ("__enter__", "__exit__", "__del__")


class Call(NamedTuple):
    """A call in the source of the harness: where it stands, and the name of what it calls."""

    file: str
    line: int
    function: str


@dataclass
class CallWatch:
    """A profiler that notes each thread's calls, and raises `errors` at them.

    Only calls that stand in these folders of the package count. A thread raises one error at most:
    Python removes a profiler that raises.
    """

    folders: tuple[str, ...]
    errors: dict[str, tuple[Call, BaseException]] = field(default_factory=dict)
    calls: dict[str, dict[Call, None]] = field(default_factory=lambda: defaultdict(dict))

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("call", "c_call"):
            return
        caller = frame.f_back if event == "call" else frame
        file = _find_file(caller.f_code.co_filename) if caller is not None else ""
        if caller is None or not file.startswith(self.folders):
            return
        function = frame.f_code.co_name if event == "call" else argument.__name__
        if function in _UNFAILING:
            return
        call = Call(file, caller.f_lineno, function=function)
        thread = threading.current_thread().name
        self.calls[thread][call] = None
        if thread in self.errors and self.errors[thread][0] == call:
            raise self.errors.pop(thread)[1]


@cache
def _find_file(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_PACKAGE)) if path.is_relative_to(_PACKAGE) else ""


@contextmanager
def watching(watch: CallWatch) -> Iterator[CallWatch]:
    """Watch this thread, and those that are started meanwhile."""
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield watch
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
