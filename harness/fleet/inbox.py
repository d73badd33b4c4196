"""The way of added artifacts to a lane, which waits here without its device."""

from queue import SimpleQueue

from harness.fleet.plan import Addition


class Inbox:
    """Additions that a lane has not taken yet. One thread takes; any may add, or close it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Addition | None] = SimpleQueue()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Return whether nothing is there, and nothing more will come."""
        return self._is_closed

    def add(self, addition: Addition) -> None:
        self._queue.put(addition)

    def close(self) -> None:
        """Let no more come; what is there can still be taken. Wakes a lane that waits."""
        self._queue.put(None)

    def take(self) -> list[Addition]:
        """Return what has come since the last time."""
        additions: list[Addition] = []
        while not self._is_closed and not self._queue.empty():
            self._take_one(additions)
        return additions

    def wait_for_more(self) -> list[Addition]:
        """Wait until something comes, and return it; nothing means that nothing will come."""
        additions: list[Addition] = []
        if not self._is_closed:
            self._take_one(additions)
        return additions + self.take()

    def _take_one(self, additions: list[Addition]) -> None:
        addition = self._queue.get()
        if addition is None:
            self._is_closed = True
        else:
            additions.append(addition)
