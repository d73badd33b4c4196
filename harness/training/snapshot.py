"""A fit in the middle of its training, as bytes with which another process goes on."""

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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A fit's variables, its curve so far, and the weights of its best epoch, where those are to be kept in the end."""

    variables: Arrays = ()
    curve: tuple[Epoch, ...] = ()
    best_accuracy: float = -math.inf
    best_epoch: int = 0
    best: Arrays = ()


def pack(snapshot: Snapshot) -> bytes:
    """Numpy's own format, without pickles."""
    told = {
        "curve": [asdict(epoch) for epoch in snapshot.curve],
        "best_accuracy": snapshot.best_accuracy,
        "best_epoch": snapshot.best_epoch,
    }
    file = io.BytesIO()
    np.savez(
        file,
        told=np.frombuffer(json.dumps(told).encode(), np.uint8),
        **_numbered("variable", snapshot.variables),
        **_numbered("best", snapshot.best),
    )
    return file.getvalue()


def unpack(content: bytes) -> Snapshot:
    """Raises ValueError where the bytes are not whole."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            told = json.loads(file["told"].tobytes())
            curve = tuple(Epoch(**epoch) for epoch in told.pop("curve"))
            return Snapshot(_listed("variable", file), curve, best=_listed("best", file), **told)
    except Exception as error:  # a zip that ends too soon fails in many ways
        raise ValueError("is no whole snapshot of a training") from error


def _numbered(name: str, arrays: Sequence[NDArray[Any]]) -> dict[str, Any]:
    return {f"{name}_{number:06}": array for number, array in enumerate(arrays)}


def _listed(name: str, file: Any) -> Arrays:
    return tuple(file[key] for key in sorted(file.files) if key.startswith(f"{name}_"))
