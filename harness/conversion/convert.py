"""Conversion of a Keras model to a `.tflite` file.

Larq Compute Engine converts all precisions but int8, which only TensorFlow's converter offers.
"""

import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from harness.conversion.anatomy import read_anatomy
from harness.core.errors import Reason, TrialFailed, first_line
from harness.core.sweep import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.models.keras import Model

    Images = NDArray[np.float32]

# TensorFlow advises 100 to 500 samples
# (www.tensorflow.org/lite/performance/post_training_quantization).
REPRESENTATIVE_SAMPLES = 256


def name_converter(precision: Precision) -> str:
    """Return the name and version of the package that converts this precision."""
    package = "tensorflow" if precision is Precision.INT8 else "larq-compute-engine"
    return f"{package} {version(package)}"


def convert(model: "Model", precision: Precision, samples: "Images") -> bytes:
    """Return the model's file for LCE on ARM, with a batch of 1.

    `samples` (n, height, width, channels) show int8 quantisation the range of values.
    Inputs and outputs are float32 at every precision.
    Raises TrialFailed with the converter's own message.
    """
    if precision is Precision.INT8:
        return _run_converter(
            model, "TensorFlow Lite", run=lambda: _convert_with_tensorflow(model, samples)
        )
    return _run_converter(model, "Larq Compute Engine", run=lambda: _convert_with_lce(model))


def _run_converter(model: "Model", converter: str, run: Callable[[], bytes]) -> bytes:
    try:
        return run()
    except Exception as error:  # LCE's converter raises a bare Exception, TensorFlow's several
        raise TrialFailed(
            Reason.CONVERSION, f"{converter} can't convert {model.name}: {first_line(error)}."
        ) from error


def _convert_with_lce(model: "Model") -> bytes:
    import larq_compute_engine as lce

    with tempfile.TemporaryDirectory(prefix="harness-convert-") as folder:
        # `export` writes the forward pass only; `save` takes three times as long.
        model.export(folder)
        # Not convert_keras_model: it discards the cause of some failures.
        content = bytes(lce.convert_saved_model(folder))
    # LCE's converter passes unknown operators through instead of failing.
    unknown_kinds = [
        kind
        for kind in read_anatomy(content).operators
        if not kind.isupper() and not kind.startswith("Lce")
    ]
    if unknown_kinds:
        raise NotImplementedError(f"there is no kernel for {', '.join(unknown_kinds)}")
    return content


def _convert_with_tensorflow(model: "Model", samples: "Images") -> bytes:
    """Quantise weights and activations to 8 bits.

    An operator without an int8 kernel is an error: there is no fallback to float.
    """
    import tensorflow as tf

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: _select_representatives(samples)
    return bytes(converter.convert())


def _select_representatives(samples: "Images") -> Iterator[list["Images"]]:
    """Yield samples spread evenly over all of them, always the same ones."""
    count = min(REPRESENTATIVE_SAMPLES, len(samples))
    for index in np.linspace(0, len(samples) - 1, count).round().astype(int):
        yield [samples[index : index + 1]]
