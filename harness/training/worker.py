"""What runs inside a Ray worker: Tune's trainable around `run_trial`."""

import os
import platform
import time
import traceback
from collections.abc import Sequence
from typing import Any

from ray import tune

from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Epoch, Failure, Timings, Trial
from harness.training.events import EpochEnded, Failed, Finished, Started
from harness.training.trial import Stopwatch, run_trial, warm_up


class Worker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """One trial a step; reused for the next trial, so that TensorFlow is imported once a process."""

    def setup(
        self, config: dict[str, Any], trials: Sequence[Trial], channel: Any, submitted_at: float, threads: int
    ) -> None:
        started = time.perf_counter()
        warm_up(threads)
        self._import_s = time.perf_counter() - started
        self._trials, self._channel, self._submitted_at, self._threads = trials, channel, submitted_at, threads
        self._trial = trials[config["index"]]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._trial = self._trials[new_config["index"]]
        self._import_s = 0.0
        return True

    def step(self) -> dict[str, Any]:
        waiting_s = max(0.0, time.time() - self._submitted_at - self._import_s)
        self._channel.put(Started(self._trial, platform.node(), os.getpid()))
        self._channel.put(self._run(waiting_s))
        return {"done": True}

    def _tell(self, epoch: Epoch) -> None:
        self._channel.put(EpochEnded(self._trial, epoch))

    def _run(self, waiting_s: float) -> Finished | Failed:
        trial, watch = self._trial, Stopwatch({"waiting_s": waiting_s, "import_s": self._import_s})
        try:
            return Finished(trial, run_trial(trial, self._threads, self._tell, watch))
        except TrialFailed as error:
            failure = Failure(error.reason, str(error), traceback.format_exc())
        except Exception as error:  # noqa: BLE001  (a bug, or a fault that we don't know: told, and it stops no other trial)
            message = (
                f"{type(error).__name__}: {error}; this is a bug in the harness or the model, its log has the rest."
            )
            failure = Failure(Reason.BUG, message, traceback.format_exc())
        return Failed(trial, failure, Timings(**watch.seconds), platform.node())
