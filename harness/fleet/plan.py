"""The request for a bench, and the plan of a device's cases that follows from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

from harness.core.bench import Case, ModelInput, Process, Protocol, Tool


@dataclass(frozen=True)
class FleetRequest:
    """The artifacts to measure, and the protocols of each device.

    More artifacts may be added while the bench runs. `wait_s` limits the wait for a busy device.
    `profile` adds operator profiles. `check_answers` checks answers again even if they have been
    checked before. `inputs` are those of the artifacts whose inputs the tool does not choose.

    `uses_reference` repeats a measured case in each batch, so that cases of different batches can
    be compared. `limits` are latencies in microseconds, by device and threads. A case is measured
    until its interval lies on one side of its limit, or its most processes are reached. Above the
    limit, its interval may be wide.
    """

    artifacts: tuple[str, ...]
    protocols: Mapping[str, tuple[Protocol, ...]]
    force: bool = False
    wait_s: float = 3600.0
    dry_run: bool = False
    profile: bool = False
    check_answers: bool = False
    inputs: Mapping[str, tuple[ModelInput, ...]] = field(default_factory=dict)
    uses_reference: bool = False
    limits: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def list_pairs(self, device: str, artifacts: Sequence[str]) -> list[tuple[str, Protocol]]:
        """Return the artifacts with the protocols under which a device measures them."""
        pairs = product(self.protocols[device], artifacts)
        return [(artifact, protocol) for protocol, artifact in pairs]


@dataclass(frozen=True)
class Addition:
    """Artifacts that were added to a bench together, and what the database has about them.

    By case id, `measured` has the numbers of first measurements, and `pending` the processes of
    unfinished cases. `binary` has the artifacts with binary layers.
    """

    artifacts: tuple[str, ...]
    measured: Mapping[str, int]
    pending: Mapping[str, Sequence[Process]]
    binary: frozenset[str]


@dataclass(frozen=True)
class CasePlan:
    """The cases of a device, divided by whether they have been measured."""

    to_measure: tuple[Case, ...]
    measured: tuple[Case, ...]


def plan_cases(
    artifacts: Sequence[str],
    device: str,
    tool: Tool,
    protocols: Sequence[Protocol],
    cpus: Callable[[int], tuple[int, ...]] = lambda _threads: (),
    inputs: Mapping[str, tuple[ModelInput, ...]] = MappingProxyType({}),
) -> tuple[Case, ...]:
    """Return the cases of a device: each artifact under each protocol, once.

    `cpus` maps a number of threads to the cores that the tool is pinned to. `inputs` are by
    artifact.
    """
    cases: dict[str, Case] = {}
    for protocol, artifact in product(protocols, artifacts):
        case = Case(
            artifact,
            device,
            tool=tool,
            protocol=protocol,
            cpus=cpus(protocol.threads),
            inputs=inputs.get(artifact, ()),
        )
        cases[case.id] = case
    return tuple(cases.values())


def split_cases(
    cases: Sequence[Case], measured_ids: Collection[str], *, force: bool = False
) -> CasePlan:
    """Divide the cases by whether they have been measured; `force` plans all of them again."""
    if force:
        return CasePlan(tuple(cases), ())
    return CasePlan(
        to_measure=tuple(case for case in cases if case.id not in measured_ids),
        measured=tuple(case for case in cases if case.id in measured_ids),
    )
