"""Searches to store, point by point, as a sweep that hears its devices stores them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine, update

from harness.core.bench import PROTOCOLS, Case
from harness.core.device import LocalDevice
from harness.core.search import ACCURACY, Constraint, Objective, Range, Search
from harness.core.sweep import Artifact, Precision, Sweep, Timings, Trial
from harness.store.database import now
from harness.store.rows.cases import CaseRows
from harness.store.rows.forms import FormRows
from harness.store.rows.searches import SearchRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import trials as trials_table
from tests.store.examples import (
    TOOL,
    make_artifact,
    make_form,
    make_measurement_from,
    make_outcome,
    make_sweep,
    make_trial,
)

DEVICES = ("pi4", "pixel6")
LATENCY_ON_PI4 = Objective("latency", on="pi4")
LIMIT_ON_PHONES = Constraint("latency", at_most=5_000.0, on="phones")
PLACES = {"pi4": [LocalDevice(id="pi4")], "phones": [LocalDevice(id="pixel6")]}
SPACE = {
    "model.units": Range(64, 512, step=64),
    "train.learning_rate": Range(0.0001, 0.1, log=True),
}


def make_search(
    objectives: Sequence[Objective] = (ACCURACY, LATENCY_ON_PI4),
    constraints: Sequence[Constraint] = (LIMIT_ON_PHONES,),
    trials: int = 40,
) -> Search:
    return Search(
        "optuna",
        trials=trials,
        space=SPACE,
        objectives=tuple(objectives),
        constraints=tuple(constraints),
    )


@dataclass(frozen=True)
class StoredSearch:
    """The search of a sweep, whose points are stored one after the other."""

    engine: Engine
    search: Search = field(default_factory=make_search)
    name: str = "search"
    places: Mapping[str, Sequence[LocalDevice]] = field(default_factory=lambda: PLACES)
    precisions: tuple[Precision, ...] = (Precision.BINARY,)

    @property
    def sweep(self) -> Sweep:
        return replace(make_sweep(name=self.name), search=self.search)

    def submit(self) -> None:
        SearchRows(self.engine).save(self.sweep, self.places)

    def begin(self, units: int, learning_rate: float = 0.01) -> tuple[Trial, ...]:
        """Store the trials of a point as planned, each with its form."""
        trials = tuple(
            self.make_trial_at(units, learning_rate, precision=precision)
            for precision in self.precisions
        )
        point = {"model.units": units, "train.learning_rate": learning_rate}
        _await_next_millisecond()  # the order of points is that of their times
        TrialRows(self.engine).submit_point(self.name, point, sampled=trials)
        for trial in trials:
            FormRows(self.engine).save(make_form(trial), _make_untrained(trial))
        FormRows(self.engine).link({trial.id: make_form(trial) for trial in trials})
        return trials

    def make_trial_at(
        self, units: int, learning_rate: float, precision: Precision = Precision.BINARY
    ) -> Trial:
        trial = make_trial(precision=precision)
        return replace(
            trial,
            parameters={"layers": 3, "units": units},
            chosen={"units": units},
            recipe=replace(trial.recipe, learning_rate=learning_rate),
        )

    def finish(self, trial: Trial, accuracy: float, size: int = 100, fit_s: float = 10.0) -> str:
        """Store a trained trial, and return its artifact's SHA-256."""
        content = trial.id.encode().ljust(size, b".")
        outcome = make_outcome(trial, content, accuracy=accuracy)
        TrialRows(self.engine).finish(replace(outcome, timings=Timings(fit_s=fit_s)))
        return outcome.artifacts[0].sha256

    def rule_out(self, trial: Trial, message: str) -> None:
        """Store that a trial is infeasible, and is therefore never trained."""
        values = {
            "status": "infeasible",
            "reason": "infeasible",
            "message": message,
            "finished_at": now(),
        }
        with self.engine.begin() as connection:
            connection.execute(
                update(trials_table).where(trials_table.c.id == trial.id).values(values)
            )

    def look(self, trial: Trial, device: str, latency_us: float, **spread: float) -> None:
        """Store the latency of the trial's untrained form."""
        self.measure(_make_untrained(trial).sha256, device, latency_us=latency_us, **spread)

    def measure(
        self, artifact: str, device: str, latency_us: float, margin_us: float = 1.0
    ) -> None:
        """Store the latency of an artifact; its interval ends `margin_us` on either side."""
        case = Case(artifact, device, tool=TOOL, protocol=PROTOCOLS["standard"])
        measurement = make_measurement_from(case, [latency_us] * 3)
        summary = replace(
            measurement.summary,
            latency_low_us=latency_us - margin_us,
            latency_high_us=latency_us + margin_us,
            energy_uj=latency_us / 2,
        )
        CaseRows(self.engine).finish("local", replace(measurement, summary=summary))


def _await_next_millisecond() -> None:
    started_at = now()
    while now() == started_at:
        pass


def _make_untrained(trial: Trial) -> Artifact:
    content = f"untrained {make_form(trial).id}".encode()
    return make_artifact(content, accuracy=None, agreement=None)
