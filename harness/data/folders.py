"""Folders of data sets on this machine, each with one subfolder per data set."""

import os
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

DATA_VARIABLE = "HARNESS_DATA"
_DEBIAN_DATASETS = Path("/usr/share/datasets")


def is_offline() -> bool:
    """Tell if the user has set a folder: only that is read then, and nothing is downloaded."""
    return bool(os.environ.get(DATA_VARIABLE))


def folder_of(dataset: str) -> Path:
    """Return a data set's folder: in the user's folder if set, else where Debian installs it."""
    return Path(os.environ.get(DATA_VARIABLE) or _DEBIAN_DATASETS) / dataset


def cache_folder() -> Path:
    return user_cache_path("harness") / "datasets"


def list_candidates(dataset: str) -> Iterator[Path]:
    """Yield the folders to search if the user has set none, in this order."""
    keras = Path.home() / ".keras" / "datasets"
    yield folder_of(dataset)
    yield cache_folder() / dataset
    yield keras / dataset
    yield keras  # Keras keeps data sets of a single file here
