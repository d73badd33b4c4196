"""What every worker of a sweep is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.training.search import UnitSource
from harness.training.unit import Conditions


@dataclass(frozen=True)
class WorkerInput:
    """`channel` takes what happens back to the driver.

    `datasets` are references by name: each is fetched once a node, by the first worker there that needs it. Where
    Tune is to end trials early, it is told of each epoch: `reports`.
    """

    work: UnitSource
    datasets: Mapping[str, Any]
    conditions: Conditions
    channel: Any
    submitted_at: float
    reports: bool
