"""The door to Keras's downloader: imported only where something has to be fetched, for TensorFlow comes with it."""

import os
from pathlib import Path

from harness.core.errors import DataUnavailable, first_line


def fetch(url: str, target: Path) -> None:
    """Writes to `target`, in a folder that is there. Raises DataUnavailable."""
    os.environ.setdefault(
        "TF_USE_LEGACY_KERAS", "1"
    )  # before TensorFlow's first import: Larq can't use Keras 3
    try:
        from tf_keras.utils import get_file

        get_file(target.name, url, cache_subdir=str(target.parent.resolve()))
    except Exception as error:  # Keras raises nothing narrower
        raise DataUnavailable(f"could not be fetched: {first_line(error)}") from error
