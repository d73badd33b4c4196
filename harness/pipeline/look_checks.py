"""Check first looks: does a trained network run as its untrained one has led to expect?"""

from collections.abc import Iterator
from typing import NamedTuple

from harness.core.forms import SecondLook, find_wrong_looks
from harness.core.rating import CaseKey, Targets
from harness.core.sweep import Artifact, Trial
from harness.core.units import format_us
from harness.pipeline.readings import Readings
from harness.pipeline.search_events import LookMisled
from harness.sweep.results import TrainedNetwork


class _Check(NamedTuple):
    """An untrained and a trained network that are to be compared on a device."""

    architecture: str
    untrained: CaseKey
    trained: CaseKey
    same_operators: bool


class LookChecks:
    """The comparisons that are still to come, and the architectures whose looks misled."""

    def __init__(self, targets: Targets, readings: Readings, distrusted: set[str]) -> None:
        self._targets = targets
        self._readings = readings
        self._distrusted = distrusted
        self._waiting: list[_Check] = []

    def trusts(self, architecture: str) -> bool:
        return architecture not in self._distrusted

    def expect(self, trial: Trial, untrained: Artifact | None, trained: TrainedNetwork) -> None:
        """Compare a trial's network with its untrained one once a device has measured both."""
        if untrained is None:
            return
        operators = trained.operators
        same = operators is None or operators == untrained.anatomy.operators
        for device in self._targets.list_devices():
            self._waiting.append(
                _Check(
                    trial.architecture,
                    CaseKey(untrained.sha256, device, threads=self._targets.threads),
                    trained=CaseKey(trained.artifact, device, threads=self._targets.threads),
                    same_operators=same,
                )
            )

    def find_misleading(self) -> Iterator[LookMisled]:
        """Yield each architecture that is not trusted from now on, with the reason."""
        for check in self._waiting.copy():
            complaint = self._find_complaint(check)
            if complaint is None:
                continue
            self._waiting.remove(check)
            if complaint and self.trusts(check.architecture):
                self._distrusted.add(check.architecture)
                yield LookMisled(check.architecture, check.trained.device, message=complaint)

    def _find_complaint(self, check: _Check) -> str | None:
        """Return how the look misled, "" if it did not, or None until both are measured."""
        if failure := self._readings.find_failure(check.trained):
            ran = self._readings.find_latency(check.untrained) is not None
            return f"it ran untrained, but trained: {failure}" if ran else ""
        look = self._compare(check)
        if look is None:
            return None
        return _describe(look) if find_wrong_looks([look]) else ""

    def _compare(self, check: _Check) -> SecondLook | None:
        """Return both latencies as of the untrained one's batch, or None until both are there."""
        factor = self._readings.correct_drift(check.trained, check.untrained)
        untrained = self._readings.find_latency(check.untrained)
        trained = self._readings.find_latency(check.trained, factor or 1.0)
        if untrained is None or trained is None:
            return None
        if factor is None:  # a drift of the device would look like an effect of training
            trained = untrained
        return SecondLook(
            "",
            check.architecture,
            device=check.trained.device,
            threads=check.trained.threads,
            untrained=untrained,
            trained=trained,
            same_operators=check.same_operators,
        )


def _describe(look: SecondLook) -> str:
    if not look.same_operators:
        return "training changed its operators"
    trained, untrained = look.trained.value_us, look.untrained.value_us
    return f"it takes {format_us(trained)} trained, and {format_us(untrained)} untrained"
