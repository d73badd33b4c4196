"""The readings of a bench so far, for a search that listens."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from harness.core.bench import Case, Measurement, Summary
from harness.core.feasibility import Interval
from harness.core.forms import Latency
from harness.core.rating import CaseKey, CaseReading
from harness.fleet.events import (
    CaseGivenUp,
    CaseMeasured,
    DevicePlanned,
    DeviceSetAside,
    FleetEvent,
)

ReadRows = Callable[[Sequence[str], Sequence[str]], Iterable[Mapping[str, Any]]]
"""Read the rows of `results` of these artifacts on these devices."""
_BatchKey = tuple[str, int]  # a batch, and the threads of its cases


class Readings:
    """The readings of cases, from a bench's events and from the rows of earlier benches.

    `protocol` is the name of the bench's protocol. `absent` are the devices that were set aside. As
    they measure nothing more in this bench, older rows of any tool have to do.
    """

    def __init__(self, read_rows: ReadRows, protocol: str) -> None:
        self._read_rows = read_rows
        self._protocol = protocol
        self._requested: list[str] = []  # artifacts
        self._latencies: dict[_BatchKey, dict[str, float]] = {}  # of artifacts
        self._batches: dict[CaseKey, _BatchKey] = {}
        self.by_case: dict[CaseKey, CaseReading] = {}
        self.absent: set[str] = set()

    def ask(self, artifacts: Sequence[str]) -> None:
        """Note that the readings of these artifacts are wanted, from whichever source."""
        self._requested += artifacts
        for device in self.absent:
            self._read_stored(device, artifacts)

    def note(self, event: FleetEvent) -> bool:
        """Take note of an event, and return whether it changes what is known."""
        match event:
            case DevicePlanned(device=device, measured=measured) if measured:
                self._read_measured(device.id, measured)
            case CaseMeasured(measurement=measurement):
                self._add(measurement, is_new=not event.is_reference)
            case CaseGivenUp(case=case, failure=failure, is_reference=False):
                self.by_case[_key_of(case)] = CaseReading(failure=str(failure))
            case DeviceSetAside(device=device):
                self.absent.add(device.id)
                self._read_stored(device.id, self._requested)
            case _:
                return False
        return True

    def correct_drift(self, case: CaseKey, baseline: CaseKey) -> float | None:
        """Return the factor that undoes the drift of a device since another case's batch.

        It is the median over the artifacts that both batches have measured. It is None if there are
        none, or if a case is one of an earlier bench.
        """
        earlier = self._latencies.get(self._batches.get(baseline, ("", 0)), {})
        later = self._latencies.get(self._batches.get(case, ("", 0)), {})
        ratios = [earlier[artifact] / later[artifact] for artifact in earlier.keys() & later]
        return median(ratios) if ratios else None

    def find_latency(self, case: CaseKey, factor: float = 1.0) -> Latency | None:
        """Return the latency of a case times a factor, if it has been measured."""
        reading = self.by_case.get(case)
        if reading is None or reading.latency is None:
            return None
        low, value, high = reading.latency
        return Latency(
            value * factor,
            None if low is None else low * factor,
            high_us=None if high is None else high * factor,
        )

    def find_failure(self, case: CaseKey) -> str:
        """Return why a case can't be measured, or "" if it may be."""
        reading = self.by_case.get(case)
        return reading.failure if reading else ""

    def _read_measured(self, device: str, cases: Sequence[Case]) -> None:
        by_id = {case.id: case for case in cases}
        artifacts = list({case.artifact for case in cases})
        for row in self._read_rows(artifacts, [device]):
            if row["case_id"] in by_id:
                self.by_case[_key_of(by_id[row["case_id"]])] = _read_row(row)

    def _read_stored(self, device: str, artifacts: Sequence[str]) -> None:
        for row in self._read_rows(artifacts, [device]):
            if row["protocol"] == self._protocol:
                key = CaseKey(row["artifact"], device, threads=row["threads"])
                self.by_case.setdefault(key, _read_row(row))

    def _add(self, measurement: Measurement, *, is_new: bool) -> None:
        key = _key_of(measurement.case)
        slot = measurement.runs[-1].process.slot if measurement.runs else None
        if slot is not None:
            batch = (slot.batch, key.threads)
            latencies = self._latencies.setdefault(batch, {})
            latencies[key.artifact] = measurement.summary.latency_us
            if is_new:
                self._batches[key] = batch
        if is_new:
            self.by_case[key] = _read_summary(measurement.summary)


def _key_of(case: Case) -> CaseKey:
    return CaseKey(case.artifact, case.device, threads=case.protocol.threads)


def _read_summary(summary: Summary) -> CaseReading:
    return CaseReading(
        Interval(summary.latency_low_us, summary.latency_us, high=summary.latency_high_us),
        _make_interval(summary.energy_low_uj, summary.energy_uj, high=summary.energy_high_uj),
        memory=_make_interval(None, summary.peak_memory_bytes, high=None),
        processes=summary.runs,
    )


def _read_row(row: Mapping[str, Any]) -> CaseReading:
    return CaseReading(
        Interval(row["latency_low_us"], row["latency_us"], high=row["latency_high_us"]),
        _make_interval(row["energy_low_uj"], row["energy_uj"], high=row["energy_high_uj"]),
        memory=_make_interval(None, row["peak_memory_bytes"], high=None),
        processes=row["runs"],
    )


def _make_interval(low: float | None, value: float | None, high: float | None) -> Interval | None:
    return None if value is None else Interval(low, value, high=high)
