"""The rows of a search's points, before and after their training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.core.forms import Form
from harness.core.sweep import Failure, Trial, TrialOutcome, validation_accuracy
from harness.store.rows.forms import FormRows
from harness.store.rows.trials import TrialRows
from harness.sweep.study import SearchPoint


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a trial: its accuracy on validation images, 0 to 1, and its artifact.

    `operators` are None where only rows of it are left.
    """

    accuracy: float | None
    artifact: str
    size_bytes: int
    operators: Mapping[str, int] | None = None

    @classmethod
    def of_outcome(cls, trial: Trial, outcome: TrialOutcome) -> "TrainedNetwork":
        artifact = outcome.artifacts[0]
        return cls(
            validation_accuracy(trial.recipe, outcome.curve),
            artifact.sha256,
            size_bytes=artifact.size_bytes,
            operators=artifact.anatomy.operators,
        )


class PointRows(Protocol):
    """The rows that a search stores of its points, and reads of earlier ones."""

    def read_distrusted(self) -> set[str]:
        """Return the architectures whose untrained networks misled before."""
        ...

    def read_trained(self, trials: Sequence[Trial]) -> dict[str, TrainedNetwork]:
        """Return the results of those trials that are done, by trial."""
        ...

    def was_outclassed(self, trials: Sequence[Trial]) -> bool:
        """Return whether a trial was ended early because others did better."""
        ...

    def begin(self, point: SearchPoint, forms: Mapping[str, Form]) -> None:
        """Store a point and its trials as planned, with the forms of the trials."""
        ...

    def stop(self, trial: Trial, cause: Failure) -> None:
        """Store that a trial ends without training, through no fault of its own."""
        ...

    def fail(self, trial: Trial, failure: Failure) -> None:
        """Store that a trial failed before its training."""
        ...


class StoredPoints:
    """The points of a sweep in the database."""

    def __init__(self, sweep: str, trials: TrialRows, forms: FormRows) -> None:
        self._sweep = sweep
        self._trials = trials
        self._forms = forms

    def read_distrusted(self) -> set[str]:
        # Latencies of different batches would also show how the device drifted between them.
        looks = self._forms.list_second_looks()
        return {look.architecture for look in looks if not look.same_operators}

    def read_trained(self, trials: Sequence[Trial]) -> dict[str, TrainedNetwork]:
        states = self._trials.get_states(trials)
        done = [trial for trial in trials if trial.id in states and states[trial.id].done]
        artifacts = {trial.id: next(iter(states[trial.id].artifacts.values())) for trial in done}
        curves = self._trials.get_curves(done)
        sizes = self._trials.get_artifact_sizes(artifacts.values())
        return {
            trial.id: TrainedNetwork(
                validation_accuracy(trial.recipe, curves[trial.id]),
                artifacts[trial.id],
                size_bytes=sizes[artifacts[trial.id]],
            )
            for trial in done
        }

    def was_outclassed(self, trials: Sequence[Trial]) -> bool:
        return any(state.outclassed for state in self._trials.get_states(trials).values())

    def begin(self, point: SearchPoint, forms: Mapping[str, Form]) -> None:
        self._trials.submit_point(self._sweep, point.values, sampled=point.trials)
        self._forms.link(forms)

    def stop(self, trial: Trial, cause: Failure) -> None:
        self._trials.stop(trial.id, cause)

    def fail(self, trial: Trial, failure: Failure) -> None:
        self._trials.fail(trial.id, failure)


class UnstoredPoints:
    """Points of a dry run, which leave no rows: only their forms and measurements are stored."""

    def read_distrusted(self) -> set[str]:
        return set()

    def read_trained(self, trials: Sequence[Trial]) -> dict[str, TrainedNetwork]:
        return {}

    def was_outclassed(self, trials: Sequence[Trial]) -> bool:
        return False

    def begin(self, point: SearchPoint, forms: Mapping[str, Form]) -> None:
        pass

    def stop(self, trial: Trial, cause: Failure) -> None:
        pass

    def fail(self, trial: Trial, failure: Failure) -> None:
        pass
