"""Rate a point of a search by what devices measured: its objectives, and what it exceeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import fmean
from typing import NamedTuple

from harness.core.feasibility import Feasibility, Interval, combine, compute_violation, judge
from harness.core.search import (
    Constraint,
    Metric,
    Objective,
    Search,
    SearchMetric,
    format_metric,
    is_of_device,
    name_metric,
)

_FAILED_VIOLATION = log(2)
"""The violation of a network that a device can't run: the sampler sees twice the limit."""


class CaseKey(NamedTuple):
    """An artifact on a device, measured with a number of threads."""

    artifact: str
    device: str
    threads: int


@dataclass(frozen=True)
class CaseReading:
    """The numbers of one measured case, in µs, µJ and bytes; None if the device reports none.

    `failure` says why there is no measurement.
    """

    latency: Interval | None = None
    energy: Interval | None = None
    memory: Interval | None = None
    processes: int = 0
    failure: str = ""

    def find(self, metric: Metric) -> Interval | None:
        numbers = {"latency": self.latency, "energy": self.energy, "memory": self.memory}
        return numbers.get(metric)


@dataclass(frozen=True)
class RatedNetwork:
    """A network of a point: its words, and its artifact, of which None is known yet."""

    name: str
    artifact: str | None
    size_bytes: int | None


@dataclass(frozen=True)
class Targets:
    """The devices of each `on` of a search, and the threads of metrics that name none."""

    devices: Mapping[str, Sequence[str]]
    threads: int

    def list_devices(self) -> list[str]:
        """Return the ids of all devices that the search asks, once each."""
        ids: dict[str, None] = {}
        for names in self.devices.values():
            ids.update(dict.fromkeys(names))
        return list(ids)


@dataclass(frozen=True)
class Rating:
    """The state of a point, as far as its numbers are there.

    - `violations`: by the text of the constraint (see `compute_violation`).
    - `limited`: the worst values that are limited, by the name of their metric.
    - `objectives`: those of devices that are complete, by their text.
    - `complaint`: why the point is infeasible.
    - `failure`: why an objective has no number, and never will.
    - `missing`: the devices whose numbers are still to come.
    """

    verdict: Feasibility
    violations: Mapping[str, float]
    limited: Mapping[str, float]
    objectives: Mapping[str, float]
    complaint: str = ""
    failure: str = ""
    missing: frozenset[str] = frozenset()


class _Judgement(NamedTuple):
    """A constraint's verdict about one network on one device, or about its size."""

    verdict: Feasibility
    violation: float | None = None
    value: float | None = None
    complaint: str = ""
    missing: str = ""


def rate(
    search: Search,
    networks: Sequence[RatedNetwork],
    targets: Targets,
    readings: Mapping[CaseKey, CaseReading],
) -> Rating:
    """Rate a point by the readings of its networks.

    A point keeps a constraint if each network does on each device. An interval that still contains
    the limit does not keep it, as its case had its most processes. An objective is the mean over
    the networks, and on a tag that of the worst device.
    """
    judgements: list[_Judgement] = []
    violations: dict[str, float] = {}
    limited: dict[str, float] = {}
    for constraint in search.constraints:
        of_constraint = _judge(constraint, networks, targets=targets, readings=readings)
        if excesses := [item.violation for item in of_constraint if item.violation is not None]:
            violations[str(constraint)] = max(excesses)
        if values := [item.value for item in of_constraint if item.value is not None]:
            limited[name_metric(constraint)] = max(values)
        judgements += of_constraint
    objectives, missing, failure = _measure_objectives(
        search, networks, targets=targets, readings=readings
    )
    return Rating(
        combine(item.verdict for item in judgements),
        violations,
        limited=limited,
        objectives=objectives,
        complaint=next((item.complaint for item in judgements if item.complaint), ""),
        failure=failure,
        missing=frozenset(missing | {item.missing for item in judgements if item.missing}),
    )


def _judge(
    constraint: Constraint,
    networks: Sequence[RatedNetwork],
    targets: Targets,
    readings: Mapping[CaseKey, CaseReading],
) -> list[_Judgement]:
    if not is_of_device(constraint):
        return [_judge_size(constraint, network) for network in networks]
    judgements = []
    for network in networks:
        for device, reading in _list_readings(
            constraint, network, targets=targets, readings=readings
        ):
            judgements.append(_judge_reading(constraint, network, device=device, reading=reading))
    return judgements


def _judge_size(constraint: Constraint, network: RatedNetwork) -> _Judgement:
    if network.size_bytes is None:
        return _Judgement(Feasibility.UNDECIDED)
    size = float(network.size_bytes)
    verdict = judge(constraint, Interval(size, size, high=size))
    violation = compute_violation(constraint, size)
    if verdict is Feasibility.FEASIBLE:
        return _Judgement(verdict, violation, value=size)
    text = f"{network.name}: size {format_metric('size', size)}, the limit is {_limit(constraint)}."
    return _Judgement(verdict, violation, value=size, complaint=text)


def _judge_reading(
    constraint: Constraint, network: RatedNetwork, device: str, reading: CaseReading | None
) -> _Judgement:
    if reading is None:
        return _Judgement(Feasibility.UNDECIDED, missing=device)
    numbers = reading.find(constraint.metric)
    start = f"{network.name} on {device}: "
    if numbers is None:
        failure = reading.failure or f"the device reports no {constraint.metric}"
        return _Judgement(Feasibility.INFEASIBLE, _FAILED_VIOLATION, complaint=f"{start}{failure}")
    verdict = judge(constraint, numbers)
    if verdict is Feasibility.FEASIBLE:
        return _Judgement(
            verdict, compute_violation(constraint, numbers.value), value=numbers.value
        )
    value = format_metric(constraint.metric, numbers.value)
    complaint = f"{start}{constraint.metric} {value}, the limit is {_limit(constraint)}"
    if verdict is Feasibility.INFEASIBLE:
        violation = compute_violation(constraint, numbers.value)
        return _Judgement(verdict, violation, value=numbers.value, complaint=f"{complaint}.")
    high = numbers.value if numbers.high is None else numbers.high
    end = f"the interval ends at {format_metric(constraint.metric, high)}"
    return _Judgement(
        Feasibility.INFEASIBLE,
        compute_violation(constraint, high),
        value=numbers.value,
        complaint=f"{complaint}, and {end} even after {reading.processes} processes.",
    )


def _limit(constraint: Constraint) -> str:
    return format_metric(constraint.metric, constraint.at_most)


def _measure_objectives(
    search: Search,
    networks: Sequence[RatedNetwork],
    targets: Targets,
    readings: Mapping[CaseKey, CaseReading],
) -> tuple[dict[str, float], set[str], str]:
    """Return the objectives that are complete, the devices that are missing, and a failure."""
    complete: dict[str, float] = {}
    missing: set[str] = set()
    failures: list[str] = []
    for objective in filter(is_of_device, search.objectives):
        worst = [
            _find_worst(objective, network, targets=targets, readings=readings)
            for network in networks
        ]
        values = [network.value for network in worst if network.value is not None]
        if len(values) == len(networks):
            complete[str(objective)] = fmean(values)
        for network in worst:
            missing |= network.missing
            failures += network.failures
    return complete, missing, "; ".join(failures)


class _Worst(NamedTuple):
    """A metric of a network on its worst device; None until all devices have measured it."""

    value: float | None
    missing: set[str]
    failures: list[str]


def _find_worst(
    objective: Objective,
    network: RatedNetwork,
    targets: Targets,
    readings: Mapping[CaseKey, CaseReading],
) -> _Worst:
    values: list[float] = []
    missing: set[str] = set()
    failures: list[str] = []
    for device, reading in _list_readings(objective, network, targets=targets, readings=readings):
        numbers = reading.find(objective.metric) if reading else None
        if reading is None:
            missing.add(device)
        elif numbers is None:
            reason = reading.failure or f"the device reports no {objective.metric}"
            failures.append(f"{network.name} on {device}: {reason}")
        else:
            values.append(numbers.value)
    is_complete = not missing and not failures
    return _Worst(max(values) if is_complete else None, missing, failures=failures)


def _list_readings(
    metric: SearchMetric,
    network: RatedNetwork,
    targets: Targets,
    readings: Mapping[CaseKey, CaseReading],
) -> Iterator[tuple[str, CaseReading | None]]:
    """Yield each device of a metric with its reading of the network, if there is one."""
    for device in targets.devices[metric.on or ""]:
        key = CaseKey(network.artifact or "", device, threads=metric.threads or targets.threads)
        yield device, readings.get(key)
