"""The table of trials that `harness submit sweep --dry-run` prints."""

import json
from collections.abc import Iterator, Sequence

from rich.table import Table

from harness.cli.actions.training import describe_model
from harness.core.ids import to_plain
from harness.core.sweep import Trial
from harness.report.terminal.tables import tabulate
from harness.sweep.plan import TrialPlan


def tabulate_plans(plans: Sequence[TrialPlan]) -> Table:
    """Return a row for each trial: what tells it from the others, and why it is to be trained."""
    settings = _list_differences([plan.trial for plan in plans])
    differ = any(settings)
    headings = ["trial", "model", *(["settings"] if differ else []), "precision", "seed", "state"]
    rows: list[list[object]] = []
    for plan, setting in zip(plans, settings, strict=True):
        trial = plan.trial
        row = [trial.id, describe_model(trial), *([setting] if differ else [])]
        state = plan.reason or "done"
        rows.append([*row, trial.precision, trial.seed, state, _format_artifacts(plan)])
    return tabulate([*headings, "artifacts"], rows)


def _list_differences(trials: Sequence[Trial]) -> list[str]:
    """Describe each trial by the settings that it does not have in common with all others.

    Its model, precision and seed are left out.
    """
    settings = [dict(_list_settings(trial)) for trial in trials]
    common = set.intersection(*(set(of_trial.items()) for of_trial in settings))
    differences = []
    for of_trial in settings:
        words = [f"{key}={value}" for key, value in of_trial.items() if (key, value) not in common]
        differences.append(" ".join(words))
    return differences


def _list_settings(trial: Trial) -> Iterator[tuple[str, str]]:
    yield "dataset", trial.dataset
    yield from _flatten("train", to_plain(trial.recipe))
    yield from _flatten("convert", to_plain(trial.convert))


def _flatten(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each key with its dots, and its value as in a sweep file."""
    if not isinstance(value, dict):
        yield key, value if isinstance(value, str) else json.dumps(value)
        return
    for name, below in value.items():
        yield from _flatten(f"{key}.{name}", below)


def _format_artifacts(plan: TrialPlan) -> str:
    artifacts = [f"{format} {sha256[:12]}" for format, sha256 in plan.artifacts.items()]
    return ", ".join(artifacts) or "none yet"
