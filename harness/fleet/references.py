"""References: cases that each later batch of a request repeats, so that batches are comparable.

Batches may be hours apart, and a device drifts. What two of them measured is compared through the
case that ran in the blocks of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from harness.core.bench import Case, Protocol, Tool


class CaseConditions(NamedTuple):
    """Conditions of a case on one device; two cases that share them differ in their artifacts."""

    protocol: Protocol
    tool: Tool
    cpus: tuple[int, ...]


@dataclass
class References:
    """The measured cases of one device and request, of which each batch repeats the first one.

    That is the one that was measured first, in this bench or an earlier one. So a bench that was
    killed goes on with the same reference.
    """

    _measured: dict[CaseConditions, dict[Case, float]] = field(default_factory=dict)
    _chosen: dict[CaseConditions, Case] = field(default_factory=dict)

    def add(self, case: Case, number: float = inf) -> None:
        """Add a measured case, with the number of its first measurement; without one, as last."""
        self._measured.setdefault(_conditions_of(case), {}).setdefault(case, number)

    def discard(self, case: Case) -> None:
        """Let another case take the place of one that can't be measured any more."""
        conditions = _conditions_of(case)
        self._measured.get(conditions, {}).pop(case, None)
        if self._chosen.get(conditions) == case:
            del self._chosen[conditions]

    def find_missing(self, batch: Sequence[Case]) -> list[Case]:
        """Return what the batch lacks: a reference for each number of threads in it.

        Only interleaved batches have blocks in which a reference can stand beside other cases.
        """
        conditions = dict.fromkeys(
            _conditions_of(case) for case in batch if case.protocol.order == "interleaved"
        )
        references = map(self._choose, conditions)
        return [case for case in references if case is not None and case not in batch]

    def _choose(self, conditions: CaseConditions) -> Case | None:
        measured = self._measured.get(conditions)
        if measured and conditions not in self._chosen:
            self._chosen[conditions] = min(measured, key=measured.__getitem__)
        return self._chosen.get(conditions)


def _conditions_of(case: Case) -> CaseConditions:
    return CaseConditions(case.protocol, case.tool, cpus=case.cpus)
