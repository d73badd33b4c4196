"""The wait until a device is cool and idle enough to be measured, up to a time limit."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from harness.bench.watch import build_reading_script, explain_wait, parse_reading
from harness.core.bench import Gates, SensorSummary
from harness.core.errors import DeviceBusy
from harness.fleet.process import DeviceSession

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 10.0


@dataclass
class BatchGates:
    """The gates of one batch.

    `waited_s` is the time waited so far, and `waited_for` the latest reason. `unmet` is the reason
    why the device was measured although it had not settled.
    """

    session: DeviceSession
    gates: Gates | None
    stop: Event
    report: Callable[[str], None]
    waited_s: float = 0.0
    waited_for: str = ""
    unmet: str = ""

    def wait_until_settled(self, latest: SensorSummary | None) -> None:
        """Wait until the device is cool and idle, or the batch's waiting time is used up.

        Return at once if `latest`, from the process that has just ended, shows a calm device.
        Raises DeviceBusy if the turn is lost meanwhile.
        """
        if self.gates is None or (latest is not None and _is_calm(latest, self.gates)):
            return
        pause_s = _FIRST_PAUSE_S
        while (
            (reason := self._find_reason())
            and self.waited_s < self.gates.max_wait_s
            and not self.stop.is_set()
        ):
            self.waited_for = reason
            self.report(f"waiting until it has settled: {reason}")
            started = time.monotonic()
            self.stop.wait(min(pause_s, self.gates.max_wait_s - self.waited_s))
            self.waited_s += time.monotonic() - started
            self._renew_turn()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.unmet = reason or self.unmet

    def _find_reason(self) -> str:
        """Return why no tool may start now, or an empty text."""
        assert self.gates is not None
        session = self.session
        script = build_reading_script(session.sensors(), session.facts)
        reading = parse_reading(session.transport.run_script(script).stdout)
        return explain_wait(reading, self.gates)

    def _renew_turn(self) -> None:
        if (holder := self.session.transport.take_turn(self.session.turn)) is not None:
            raise DeviceBusy(f"device {self.session.device.id} is in use by {holder}.")


def _is_calm(latest: SensorSummary, gates: Gates) -> bool:
    """Return whether no reading exceeds a gate; a missing reading does not."""
    hot = latest.temperature_c is not None and latest.temperature_c > gates.max_temperature_c
    busy = latest.busy is not None and latest.busy > gates.max_busy
    return not (hot or busy or latest.throttled)
