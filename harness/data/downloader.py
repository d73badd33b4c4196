"""The only door to Keras's downloader.

Its function imports TensorFlow, so it is called only if a download is needed.
"""

import os
from pathlib import Path

from harness.core.errors import DataUnavailable, first_line


def download(url: str, target: Path) -> None:
    """Download to `target`, whose folder must exist. Raises DataUnavailable if that fails."""
    # Set before TensorFlow's first import: Larq can't use Keras 3.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        from tf_keras.utils import get_file

        get_file(target.name, url, cache_subdir=str(target.parent.resolve()))
    except Exception as error:  # Keras raises a bare Exception
        raise DataUnavailable(f"the download failed: {first_line(error)}") from error
