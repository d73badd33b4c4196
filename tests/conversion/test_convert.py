"""Both converters, with small networks."""

from typing import Any

import numpy as np
import pytest

from harness.conversion.anatomy import inputs
from harness.conversion.convert import REPRESENTATIVES, convert
from harness.conversion.evaluate import predict
from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Precision

IMAGES = np.random.default_rng(0).uniform(-1, 1, (1000, 4, 4, 1)).astype(np.float32)


def small(last: Any = None) -> Any:
    from harness.models.keras import keras, layers

    keras.utils.set_random_seed(0)
    image = layers.Input((4, 4, 1), name="image")
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(image))
    return keras.Model(image, (last or layers.Dense(3))(x), name="small")


@pytest.mark.parametrize("precision", Precision)
def test_the_same_model_and_samples_make_the_same_bytes(precision: Precision) -> None:
    model = small()
    assert convert(model, precision, samples=IMAGES) == convert(model, precision, samples=IMAGES)


def test_int8_takes_and_gives_real_numbers_and_is_near_the_model() -> None:
    model = small()
    file = convert(model, Precision.INT8, samples=IMAGES)
    assert [(tensor.shape, tensor.dtype) for tensor in inputs(file)] == [((1, 4, 4, 1), "float32")]
    expected = model.predict(IMAGES[:100], verbose=0)
    off = np.abs(predict(file, IMAGES[:100]) - expected).mean()
    assert 0 < off < 0.01 * np.ptp(expected)


def test_int8_learns_its_ranges_from_the_samples_alone() -> None:
    model, faint = small(), IMAGES / 10
    for_faint = predict(convert(model, Precision.INT8, samples=faint), IMAGES)
    assert np.abs(for_faint).max() < 0.3 * np.abs(model.predict(IMAGES, verbose=0)).max(), (
        "the rest is cut off"
    )


def test_int8_looks_at_a_few_samples_from_all_over_the_set() -> None:
    model, faint = small(), IMAGES[:REPRESENTATIVES] / 10
    bright_at_the_end = np.concatenate([faint, np.repeat(IMAGES[-1:], REPRESENTATIVES, axis=0)])
    assert convert(model, Precision.INT8, samples=bright_at_the_end) != convert(
        model, Precision.INT8, samples=faint
    )


def test_one_sample_does() -> None:
    assert convert(small(), Precision.INT8, samples=IMAGES[:1])


@pytest.mark.parametrize(
    ("precision", "converter"),
    [(Precision.INT8, "TensorFlow Lite"), (Precision.FLOAT32, "Larq Compute Engine")],
)
def test_what_no_kernel_is_for_is_said_in_a_sentence_that_names_model_and_converter(
    precision: Precision, converter: str
) -> None:
    from harness.models.keras import layers, tf

    unknown = small(layers.Lambda(tf.math.bessel_i0))
    with pytest.raises(TrialFailed) as failed:
        convert(unknown, precision, samples=IMAGES)
    assert failed.value.reason is Reason.CONVERSION
    assert str(failed.value).startswith(f"{converter} can't convert small: ")
    assert str(failed.value).endswith(".")
    assert "\n" not in str(failed.value)
