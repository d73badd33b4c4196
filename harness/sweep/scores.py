"""The numbers that a search learns from a point's trainings."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from harness.core.feasibility import compute_violation
from harness.core.recipe import Recipe
from harness.core.search import Metric, Search
from harness.core.sweep import Epoch, validation_accuracy


class TrialResult(NamedTuple):
    """The part of a trial's outcome that a search needs; the size is its first artifact's."""

    recipe: Recipe
    curve: Sequence[Epoch]
    size_bytes: int


class Score(NamedTuple):
    """A point's objectives in their order, and its violations by constraint."""

    objectives: tuple[float, ...]
    violations: Mapping[str, float]


def compute_score(search: Search, results: Sequence[TrialResult]) -> Score | None:
    """Return the score of a point whose trials have all finished; None if an objective is unknown.

    Without validation there is no accuracy.
    """
    means = compute_means(results)
    objectives = [means.get(objective.metric) for objective in search.objectives]
    values = tuple(value for value in objectives if value is not None)
    if len(values) < len(objectives):
        return None
    return Score(values, compute_size_violations(search, results))


def compute_means(results: Sequence[TrialResult]) -> dict[Metric, float]:
    """Return the means over a point's trials of what is known without a device."""
    means: dict[Metric, float] = {"size": fmean(result.size_bytes for result in results)}
    accuracies = [validation_accuracy(result.recipe, result.curve) for result in results]
    validated = [accuracy for accuracy in accuracies if accuracy is not None]
    if validated:
        means["accuracy"] = fmean(validated)
    return means


def compute_size_violations(search: Search, results: Sequence[TrialResult]) -> dict[str, float]:
    """Return the violations of the limits of size: those of the point's largest trial."""
    largest = max(result.size_bytes for result in results)
    return {
        str(constraint): compute_violation(constraint, largest)
        for constraint in search.constraints
        if constraint.metric == "size"
    }
