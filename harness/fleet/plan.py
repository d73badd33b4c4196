"""Which cases of a device are measured, and which are left to measure: pure functions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from harness.core.bench import Case, Protocol, Tool


@dataclass(frozen=True)
class CasePlan:
    """Cases of known artifacts, and how many more there will be once the new trials are done."""

    to_measure: tuple[Case, ...]
    measured: tuple[Case, ...]


def plan_cases(
    artifacts: Sequence[str],
    device: str,
    tool: Tool,
    protocols: Sequence[Protocol],
    cpus: Callable[[int], tuple[int, ...]] = lambda _threads: (),
) -> tuple[Case, ...]:
    """A device's: each artifact under each protocol, once. `cpus` tells the affinity of a thread count."""
    cases = (
        Case(artifact, device, tool=tool, protocol=protocol, cpus=cpus(protocol.threads))
        for protocol in protocols
        for artifact in artifacts
    )
    return tuple({case.id: case for case in cases}.values())


def split_cases(cases: Sequence[Case], measured: Collection[str], force: bool = False) -> CasePlan:
    """`force` measures again what has been measured."""
    new = tuple(case for case in cases if force or case.id not in measured)
    return CasePlan(new, tuple(case for case in cases if not force and case.id in measured))
