"""Keras model → `.tflite` through Larq Compute Engine's converter, the same door for every precision."""

import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.core.errors import Reason, TrialFailed, first_line

if TYPE_CHECKING:
    from harness.models.keras import Model


def to_tflite(model: "Model") -> bytes:
    """The model's file for LCE on ARM, batch 1. Raises TrialFailed with the converter's own words."""
    import larq_compute_engine as lce

    with tempfile.TemporaryDirectory(prefix="harness-convert-") as folder:
        model.save(folder, save_format="tf")
        try:
            # Not convert_keras_model: it discards the cause of some failures.
            return bytes(lce.convert_saved_model(folder))
        except Exception as error:  # the converter raises a bare Exception
            raise TrialFailed(
                Reason.CONVERSION, f"Larq Compute Engine can't convert {model.name}: {first_line(error)}."
            ) from error


CONVERTERS: dict[str, Callable[["Model"], bytes]] = {"tflite": to_tflite}
