"""The input of a sweep's workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.training.search import UnitSource
from harness.training.unit import Conditions


@dataclass(frozen=True)
class WorkerInput:
    """Everything that each worker of a sweep needs.

    `datasets` holds Ray references by name; the first worker of a node that needs one fetches it.
    `channel` is the queue that carries events back to the driver. With `reports_epochs`, Tune hears
    of each epoch, so that it can end trials early.
    """

    unit_source: UnitSource
    datasets: Mapping[str, Any]
    conditions: Conditions
    channel: Any
    submitted_at: float
    reports_epochs: bool
