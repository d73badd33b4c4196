"""The rows of a search's points, before and after their training."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.core.forms import Form
from harness.core.sweep import Failure, Trial
from harness.store.rows.forms import FormRows
from harness.store.rows.trials import TrialRows
from harness.sweep.results import PointResults, read_point_results
from harness.sweep.study import SearchPoint


class PointRows(Protocol):
    """The rows that a search stores of its points, and reads of earlier ones."""

    def read_distrusted(self) -> set[str]:
        """Return the architectures whose untrained networks misled before."""
        ...

    def read_results(self, trials: Sequence[Trial]) -> PointResults:
        """Return the results of a point's trials, which another sweep may have trained."""
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

    def read_results(self, trials: Sequence[Trial]) -> PointResults:
        return read_point_results(trials, self._trials)

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

    def read_results(self, trials: Sequence[Trial]) -> PointResults:
        return PointResults()

    def begin(self, point: SearchPoint, forms: Mapping[str, Form]) -> None:
        pass

    def stop(self, trial: Trial, cause: Failure) -> None:
        pass

    def fail(self, trial: Trial, failure: Failure) -> None:
        pass
