"""The importance of each swept key of a search for an objective, as Optuna computes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, log10
from typing import Any

import pandas as pd

from harness.core.errors import RequestError
from harness.report.searches import SearchResult, SoughtMetric

MIN_POINTS = 10
"""Fewer say more about chance than about keys. Optuna, too, draws ten before it learns."""
_SEED = 0  # of the trees; the same rows give the same figure


def compute_importance(result: SearchResult, objective: SoughtMetric) -> dict[str, float]:
    """Return each key's share of the objective's variance, 0 to 1; the largest first.

    By functional ANOVA over a random forest (Hutter et al. 2014), from Optuna. Every point with a
    value counts, so that latency is judged by infeasible points, too. The result is empty if there
    are fewer than MIN_POINTS, or all values are the same. Raises RequestError without Optuna.
    """
    optuna = _import_optuna()
    axes = {key: _make_axis(result, key) for key in result.keys}
    valued = result.points[result.points[objective.name].notna()]
    inside = _select_inside(valued, axes)
    if len(inside) < MIN_POINTS or inside[objective.name].nunique() == 1:
        return {}
    study = optuna.create_study(direction="maximize" if objective.is_gain else "minimize")
    distributions = {key: axis.distribution for key, axis in axes.items()}
    for row in inside.to_dict("records"):
        settings = {key: axis.place(row[key]) for key, axis in axes.items()}
        trial = optuna.trial.create_trial(
            params=settings, distributions=distributions, value=row[objective.name]
        )
        study.add_trial(trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
    shares: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return shares


@dataclass(frozen=True)
class _KeyAxis:
    """A swept key as the forest sees it.

    A range that is drawn evenly in the logarithm becomes one of logarithms. Optuna's forest would
    weigh its values evenly, and nine tenths of 0.001 to 1 are above 0.1.
    """

    distribution: Any
    is_log: bool = False

    def place(self, value: Any) -> Any:
        return log10(value) if self.is_log else value

    def contains(self, value: Any) -> bool:
        """Return whether the value is in the present space, which may have been changed."""
        if value is None or (isinstance(value, float) and isnan(value)):
            return False
        if hasattr(self.distribution, "choices"):
            return value in self.distribution.choices
        return bool(self.distribution.low <= self.place(value) <= self.distribution.high)


def _import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise RequestError(
            "Importance needs Optuna; run pip install 'bnn-harness[train]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _make_axis(result: SearchResult, key: str) -> _KeyAxis:
    distributions = _import_optuna().distributions
    values = result.space.get(key) or sorted(set(result.points[key].dropna()), key=repr)
    if not isinstance(values, Mapping):
        choices = [
            json.dumps(value) if isinstance(value, list | dict) else value for value in values
        ]
        return _KeyAxis(distributions.CategoricalDistribution(choices))
    low, high = values["low"], values["high"]
    if values["log"]:
        return _KeyAxis(distributions.FloatDistribution(log10(low), log10(high)), is_log=True)
    is_whole = isinstance(low, int) and isinstance(high, int)
    kind = distributions.IntDistribution if is_whole else distributions.FloatDistribution
    return _KeyAxis(kind(low, high, step=values["step"] or (1 if is_whole else None)))


def _select_inside(points: pd.DataFrame, axes: Mapping[str, _KeyAxis]) -> pd.DataFrame:
    is_inside = pd.Series(data=True, index=points.index)
    for key, axis in axes.items():
        is_inside &= points[key].map(axis.contains).astype(bool)
    return points[is_inside]
