"""Waiting until a device is cool and idle enough to be measured; not for ever."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from harness.bench.watch import read_reading, reading_script, why_not
from harness.core.bench import Gates, Watched
from harness.core.errors import DeviceBusy
from harness.fleet.process import DeviceSession

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 10.0


@dataclass
class BatchGates:
    """The gates of one batch: `waited_s` so far, and what it `waited_for` last; `closed` is what was given up on."""

    session: DeviceSession
    gates: Gates | None
    stop: Event
    say: Callable[[str], None]
    waited_s: float = 0.0
    waited_for: str = ""
    closed: str = ""

    def settle(self, last: Watched | None) -> None:
        """Returns at once where the process that has just ended shows a device that is cool and idle.

        Raises DeviceBusy where the turn was lost meanwhile.
        """
        if self.gates is None or (last is not None and _is_calm(last, self.gates)):
            return
        pause_s = _FIRST_PAUSE_S
        while (
            (why := self._why_not())
            and self.waited_s < self.gates.max_wait_s
            and not self.stop.is_set()
        ):
            self.waited_for = why
            self.say(f"waiting until it has settled: {why}")
            began = time.monotonic()
            self.stop.wait(min(pause_s, self.gates.max_wait_s - self.waited_s))
            self.waited_s += time.monotonic() - began
            self._keep_turn()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.closed = why or self.closed

    def _why_not(self) -> str:
        assert self.gates is not None
        session = self.session
        said = session.transport.run_script(reading_script(session.sensors(), session.facts)).stdout
        return why_not(read_reading(said), self.gates)

    def _keep_turn(self) -> None:
        if (holder := self.session.transport.take_turn(self.session.turn)) is not None:
            message = f"device {self.session.device.id} is used by {holder} now."
            raise DeviceBusy(message)


def _is_calm(last: Watched, gates: Gates) -> bool:
    """What it can't tell is no reason to look again."""
    hot = last.temperature_c is not None and last.temperature_c > gates.max_temperature_c
    busy = last.busy is not None and last.busy > gates.max_busy
    return not (hot or busy or last.throttled)
