"""Environment variables that TensorFlow reads when it is first imported, by us or by user code."""

import os
from collections.abc import Mapping

_TENSORFLOW: Mapping[str, str] = {
    "TF_USE_LEGACY_KERAS": "1",  # Larq can't use Keras 3
    "TF_CPP_MIN_LOG_LEVEL": "2",  # its notices about instruction sets do not concern the user
}


def settle_environment() -> None:
    """Set the variables that the user has not set."""
    for name, value in _TENSORFLOW.items():
        os.environ.setdefault(name, value)
