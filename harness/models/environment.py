"""What TensorFlow reads when it is first imported, by us or by a module of the user's own."""

import os
from collections.abc import Mapping

_TENSORFLOW: Mapping[str, str] = {
    "TF_USE_LEGACY_KERAS": "1",  # Larq can't use Keras 3
    "TF_CPP_MIN_LOG_LEVEL": "2",  # its notices about instruction sets are not the user's
}


def settle_environment() -> None:
    """Leaves alone what the user has set."""
    for name, value in _TENSORFLOW.items():
        os.environ.setdefault(name, value)
