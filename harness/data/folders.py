"""Where data sets lie on this machine."""

import os
from pathlib import Path

DATA_VARIABLE = "HARNESS_DATA"
_DEBIAN_DATASETS = Path("/usr/share/datasets")


def offline() -> bool:
    """Whether the user has named a folder: then data come from there, and nothing is fetched."""
    return bool(os.environ.get(DATA_VARIABLE))


def folder_of(dataset: str) -> Path:
    """Where a data set's files are looked for: the user's folder, or else that of Debian's packages."""
    return Path(os.environ.get(DATA_VARIABLE) or _DEBIAN_DATASETS) / dataset
