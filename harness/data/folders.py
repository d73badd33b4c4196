"""Where data sets lie on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

DATA_VARIABLE = "HARNESS_DATA"
_DEBIAN_DATASETS = Path("/usr/share/datasets")


def candidates(dataset: str) -> Iterator[Path]:
    """Folders that may hold a data set, the user's own first."""
    if own := os.environ.get(DATA_VARIABLE):
        yield Path(own) / dataset
        yield Path(own)
    yield _DEBIAN_DATASETS / dataset
