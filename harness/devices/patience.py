"""How long a lost link is tried again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)

from harness.core.errors import Unreachable


@dataclass
class Patience:
    """How a lost link is tried again: with growing pauses, for `seconds`, until `stop` is set.

    `told` hears why, and how long the pause is.
    """

    seconds: float = 0.0
    stop: Event = field(default_factory=Event)
    told: Callable[[str, float], None] = lambda _why, _pause: None

    def attempts(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, Unreachable) and error.passing
            ),
            wait=wait_exponential_jitter(initial=0.5, max=30, jitter=0.5),
            stop=stop_after_delay(self.seconds) | stop_when_event_set(self.stop),
            sleep=sleep_using_event(self.stop),
            before_sleep=self._tell,
            reraise=True,
        )

    def _tell(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        self.told(str(state.outcome.exception()), state.upcoming_sleep)
