"""The retries of a lost link."""

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
    """A policy for retrying a lost link: with growing pauses, for `seconds`, until `stop` is set.

    `on_retry` is called with the reason and the length of the coming pause in seconds.
    """

    seconds: float = 0.0
    stop: Event = field(default_factory=Event)
    on_retry: Callable[[str, float], None] = lambda _reason, _pause_s: None

    def attempts(self) -> Retrying:
        """Return the attempts, for tenacity to call a function with."""
        return Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, Unreachable) and error.passing
            ),
            wait=wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5),
            stop=stop_after_delay(self.seconds) | stop_when_event_set(self.stop),
            sleep=sleep_using_event(self.stop),
            before_sleep=self._report,
            reraise=True,
        )

    def _report(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        self.on_retry(str(state.outcome.exception()), state.upcoming_sleep)
