"""Snapshots: a fit in the middle of its training, as bytes from which another process continues."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.sweep import Epoch

Arrays = tuple[NDArray[Any], ...]
_STATE_KEY = "told"  # of the archive member with the curve and the best epoch; a stored format


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A fit's variables and its curve so far.

    `best` holds the weights of the best epoch if training may stop early and restore them.
    """

    variables: Arrays = ()
    curve: tuple[Epoch, ...] = ()
    best_accuracy: float = -math.inf
    best_epoch: int = 0
    best: Arrays = ()


def pack(snapshot: Snapshot) -> bytes:
    """Return the snapshot in NumPy's `.npz` format, without pickles."""
    state = {
        "curve": [asdict(epoch) for epoch in snapshot.curve],
        "best_accuracy": snapshot.best_accuracy,
        "best_epoch": snapshot.best_epoch,
    }
    arrays = {
        _STATE_KEY: np.frombuffer(json.dumps(state).encode(), np.uint8),
        **_number_arrays("variable", snapshot.variables),
        **_number_arrays("best", snapshot.best),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpack(content: bytes) -> Snapshot:
    """Return the snapshot that `pack` wrote. Raises ValueError if the bytes are incomplete."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            state = json.loads(file[_STATE_KEY].tobytes())
            return Snapshot(
                variables=_read_arrays("variable", file),
                curve=tuple(Epoch(**epoch) for epoch in state["curve"]),
                best_accuracy=state["best_accuracy"],
                best_epoch=state["best_epoch"],
                best=_read_arrays("best", file),
            )
    except Exception as error:  # a truncated archive fails in many ways
        raise ValueError("not a complete snapshot of a training") from error


def _number_arrays(name: str, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}_{number:06}": array for number, array in enumerate(arrays)}


def _read_arrays(name: str, file: Any) -> Arrays:
    return tuple(file[key] for key in sorted(file.files) if key.startswith(f"{name}_"))
