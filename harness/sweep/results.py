"""The results of a point's trials, and what a search learns from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from harness.core.feasibility import compute_violation
from harness.core.search import Search
from harness.core.sweep import Trial, TrialOutcome, validation_accuracy
from harness.store.rows.trials import TrialRows, TrialState


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a trial: its accuracy on validation images, 0 to 1, and its first artifact.

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


@dataclass(frozen=True)
class PointResults:
    """The results of a point so far: its trained networks, by trial.

    It `is_stored` if each of its trials has a row. It `is_outclassed` if one was ended early, as
    others did better.
    """

    networks: Mapping[str, TrainedNetwork] = field(default_factory=dict)
    is_stored: bool = False
    is_outclassed: bool = False


class Score(NamedTuple):
    """A point's objectives in their order, and its violations by constraint."""

    objectives: tuple[float, ...]
    violations: Mapping[str, float]


def read_point_results(trials: Sequence[Trial], rows: TrialRows) -> PointResults:
    """Return the results of a point's trials, some of which may have no rows."""
    states = rows.get_states(trials)
    return PointResults(
        _read_networks([trial for trial in trials if _is_done(trial, states)], states, rows=rows),
        is_stored=all(trial.id in states for trial in trials),
        is_outclassed=any(state.outclassed for state in states.values()),
    )


def _is_done(trial: Trial, states: Mapping[str, TrialState]) -> bool:
    return trial.id in states and states[trial.id].done


def _read_networks(
    done: Sequence[Trial], states: Mapping[str, TrialState], rows: TrialRows
) -> dict[str, TrainedNetwork]:
    if not done:
        return {}
    artifacts = {trial.id: next(iter(states[trial.id].artifacts.values())) for trial in done}
    curves = rows.get_curves(done)
    sizes = rows.get_artifact_sizes(artifacts.values())
    return {
        trial.id: TrainedNetwork(
            validation_accuracy(trial.recipe, curves[trial.id]),
            artifacts[trial.id],
            size_bytes=sizes[artifacts[trial.id]],
        )
        for trial in done
    }


def compute_score(search: Search, networks: Sequence[TrainedNetwork]) -> Score | None:
    """Return the score of a point whose trials have all finished; None if an objective is unknown.

    Without validation there is no accuracy.
    """
    means = compute_means(networks)
    objectives = [means.get(objective.metric) for objective in search.objectives]
    values = tuple(value for value in objectives if value is not None)
    if len(values) < len(objectives):
        return None
    return Score(values, _compute_size_violations(search, networks))


def compute_means(networks: Sequence[TrainedNetwork]) -> dict[str, float]:
    """Return the mean size and validation accuracy of a trained point, by metric.

    The accuracy is missing if a network has none.
    """
    means = {"size": fmean(network.size_bytes for network in networks)}
    accuracies = [network.accuracy for network in networks if network.accuracy is not None]
    if len(accuracies) == len(networks):
        means["accuracy"] = fmean(accuracies)
    return means


def _compute_size_violations(
    search: Search, networks: Sequence[TrainedNetwork]
) -> dict[str, float]:
    """Return the violations of the limits of size: those of the point's largest network."""
    largest = max(network.size_bytes for network in networks)
    return {
        str(constraint): compute_violation(constraint, largest)
        for constraint in search.constraints
        if constraint.metric == "size"
    }
