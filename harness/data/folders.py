"""Where data sets lie on this machine: in each place, a data set's files in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

DATA_VARIABLE = "HARNESS_DATA"
_DEBIAN_DATASETS = Path("/usr/share/datasets")


def offline() -> bool:
    """Whether the user has named a folder: then data come from there, and nothing is fetched."""
    return bool(os.environ.get(DATA_VARIABLE))


def folder_of(dataset: str) -> Path:
    """Where a data set's files are looked for: the user's folder, or else that of Debian's packages."""
    return Path(os.environ.get(DATA_VARIABLE) or _DEBIAN_DATASETS) / dataset


def cache() -> Path:
    return user_cache_path("harness") / "datasets"


def places_of(dataset: str) -> Iterator[Path]:
    """Where a data set's files may lie already where the user has named no folder, in this order."""
    keras = Path.home() / ".keras" / "datasets"
    yield folder_of(dataset)
    yield cache() / dataset
    yield keras / dataset
    yield keras  # where Keras puts a data set of one file
