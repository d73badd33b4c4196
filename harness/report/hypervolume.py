"""The hypervolume: how much of the space of objectives a set of points beats, in one number.

Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary Algorithms" (1998).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.core.front import find_unbeaten


def compute_hypervolume(gains: Any) -> float:
    """Return the volume between the origin and the points, of any number of dimensions.

    `gains` has a row for each point, and a column for each objective; more is better. A gain below
    0 counts as 0. The result is exact. The last objective is cut into slices; the volume of each is
    that of the points that reach it, in the other objectives.
    """
    points = np.clip(np.asarray(gains, dtype=float), 0.0, None)
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    ordered = points[np.argsort(-points[:, -1], kind="stable")]
    depths = ordered[:, -1] - np.append(ordered[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float(np.maximum.accumulate(ordered[:, 0]) @ depths)
    return sum(
        float(depth) * compute_hypervolume(ordered[: index + 1, :-1])
        for index, depth in enumerate(depths)
        if depth > 0
    )


def accumulate_hypervolume(gains: Any) -> Iterator[float]:
    """Yield the hypervolume after each row. A row with a missing gain adds nothing."""
    front = np.empty((0, gains.shape[1]))
    volume = 0.0
    for row in gains:
        if not np.isnan(row).any():
            front = np.vstack([front, row])
            front = front[find_unbeaten((-front).tolist())]
            volume = compute_hypervolume(front)
        yield volume
