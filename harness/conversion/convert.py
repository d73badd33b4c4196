"""Keras model → `.tflite`: through Larq Compute Engine's converter, or TensorFlow's, which alone quantises to int8."""

import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from harness.conversion.anatomy import anatomy
from harness.core.errors import Reason, TrialFailed, first_line
from harness.core.sweep import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.models.keras import Model

    Images = NDArray[np.float32]

REPRESENTATIVES = 256  # TensorFlow advises 100 to 500 (www.tensorflow.org/lite/performance/post_training_quantization)


def convert(model: "Model", precision: Precision, samples: "Images") -> bytes:
    """The model's file for LCE on ARM, batch 1; `samples` (n, height, width, channels) show int8 the range of values.

    What goes in and what comes out is float32, whatever is between. Raises TrialFailed with the converter's own words.
    """
    if precision is Precision.INT8:
        return _converted(model, "TensorFlow Lite", run=lambda: _by_tensorflow(model, samples))
    return _converted(model, "Larq Compute Engine", run=lambda: _by_lce(model))


def _converted(model: "Model", converter: str, run: Callable[[], bytes]) -> bytes:
    try:
        return run()
    except (
        Exception
    ) as error:  # LCE's converter raises a bare Exception, TensorFlow's one of several
        raise TrialFailed(
            Reason.CONVERSION, f"{converter} can't convert {model.name}: {first_line(error)}."
        ) from error


def _by_lce(model: "Model") -> bytes:
    import larq_compute_engine as lce

    with tempfile.TemporaryDirectory(prefix="harness-convert-") as folder:
        model.export(
            folder
        )  # its forward pass alone: `save` takes three times as long, for the layers' own functions
        # Not convert_keras_model: it discards the cause of some failures.
        content = bytes(lce.convert_saved_model(folder))
    strange = [
        name
        for name in anatomy(content).operators
        if not name.isupper() and not name.startswith("Lce")
    ]
    if strange:  # passed through as they are
        raise NotImplementedError(f"there is no kernel for {', '.join(strange)}")
    return content


def _by_tensorflow(model: "Model", samples: "Images") -> bytes:
    """Weights and activations of 8 bits; an operator that has no such kernel is an error, no float in its place."""
    import tensorflow as tf

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: _representatives(samples)
    return bytes(converter.convert())


def _representatives(samples: "Images") -> Iterator[list["Images"]]:
    """The same ones every time, evenly from all of them."""
    count = min(REPRESENTATIVES, len(samples))
    for index in np.linspace(0, len(samples) - 1, count).round().astype(int):
        yield [samples[index : index + 1]]
