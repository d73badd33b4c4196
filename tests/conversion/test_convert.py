"""Both converters, run on small networks."""

from typing import Any

import numpy as np
import pytest

from harness.conversion.anatomy import read_inputs
from harness.conversion.convert import REPRESENTATIVE_SAMPLES, convert
from harness.conversion.evaluate import predict
from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Precision

IMAGES = np.random.default_rng(0).uniform(-1, 1, (1000, 4, 4, 1)).astype(np.float32)


def new_model(last: Any = None) -> Any:
    from harness.models.keras import keras, layers

    keras.utils.set_random_seed(0)
    image = layers.Input((4, 4, 1), name="image")
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(image))
    return keras.Model(image, (last or layers.Dense(3))(x), name="small")


@pytest.mark.parametrize("precision", Precision)
def test_the_same_model_and_samples_make_the_same_bytes(precision: Precision) -> None:
    model = new_model()
    assert convert(model, precision, samples=IMAGES) == convert(model, precision, samples=IMAGES)


def test_an_int8_model_has_float_inputs_and_outputs_close_to_the_original() -> None:
    model = new_model()
    file = convert(model, Precision.INT8, samples=IMAGES)
    assert [(tensor.shape, tensor.dtype) for tensor in read_inputs(file)] == [
        ((1, 4, 4, 1), "float32")
    ]
    expected = model.predict(IMAGES[:100], verbose=0)
    error = np.abs(predict(file, IMAGES[:100]) - expected).mean()
    assert 0 < error < 0.01 * np.ptp(expected)


def test_int8_ranges_come_from_the_samples_alone() -> None:
    model, faint = new_model(), IMAGES / 10
    faint_outputs = predict(convert(model, Precision.INT8, samples=faint), IMAGES)
    assert np.abs(faint_outputs).max() < 0.3 * np.abs(model.predict(IMAGES, verbose=0)).max(), (
        "values outside the range are clipped"
    )


def test_int8_uses_samples_from_the_whole_set() -> None:
    model, faint = new_model(), IMAGES[:REPRESENTATIVE_SAMPLES] / 10
    with_bright_end = np.concatenate(
        [faint, np.repeat(IMAGES[-1:], REPRESENTATIVE_SAMPLES, axis=0)]
    )
    assert convert(model, Precision.INT8, samples=with_bright_end) != convert(
        model, Precision.INT8, samples=faint
    )


def test_a_single_sample_suffices() -> None:
    assert convert(new_model(), Precision.INT8, samples=IMAGES[:1])


@pytest.mark.parametrize(
    ("precision", "converter"),
    [(Precision.INT8, "TensorFlow Lite"), (Precision.FLOAT32, "Larq Compute Engine")],
)
def test_a_missing_kernel_is_reported_with_the_model_and_the_converter(
    precision: Precision, converter: str
) -> None:
    from harness.models.keras import layers, tf

    unsupported = new_model(layers.Lambda(tf.math.bessel_i0))
    with pytest.raises(TrialFailed) as failed:
        convert(unsupported, precision, samples=IMAGES)
    assert failed.value.reason is Reason.CONVERSION
    assert str(failed.value).startswith(f"{converter} can't convert small: ")
    assert str(failed.value).endswith(".")
    assert "\n" not in str(failed.value)
