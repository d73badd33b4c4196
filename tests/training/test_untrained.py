"""Untrained networks: they have the operators of trained ones, and the same bytes everywhere."""

import sys
from pathlib import Path

import numpy as np
import pytest

from harness.conversion.anatomy import read_anatomy
from harness.conversion.convert import name_converter
from harness.conversion.evaluate import predict
from harness.core.errors import Reason, TrialFailed
from harness.core.forms import Form, FormTask
from harness.core.ids import sha256_of
from harness.core.sweep import Failure, Precision
from harness.models import ARCHITECTURES
from harness.models.custom import identify
from harness.training.form_builder import FormBuilder
from harness.training.untrained import build_untrained, randomise
from tests.models.networks import SMALL, operators, some_digits

NETWORKS = """
import os
import tensorflow as tf

def small(units=8, shape=(8, 8, 3)):
    image = tf.keras.layers.Input(tuple(shape))
    x = tf.keras.layers.Conv2D(units, 3, use_bias=False)(image)
    x = tf.keras.layers.BatchNormalization()(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(10)(x))

def any_size():
    return small(shape=(None, None, 3))

def number():
    return 7

def fails():
    raise ValueError("no such layer")

def ends():
    os._exit(1)
"""


def make_form(name: str, precision: Precision) -> Form:
    digits = some_digits()
    return Form(
        name,
        SMALL[name].parameters,
        chosen=SMALL[name].parameters,
        converter=name_converter(precision),
        task=FormTask(digits.shape, digits.classes, precision=precision),
    )


@pytest.fixture
def network_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "untrained_nets.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "untrained_nets", raising=False)


def make_own_form(function: str, **parameters: object) -> Form:
    name = identify(f"untrained_nets:{function}", parameters, takes_task=False)
    return Form(name, parameters, chosen=parameters, converter=name_converter(Precision.FLOAT32))


@pytest.mark.full
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("precision", Precision)
def test_an_untrained_network_has_the_operators_of_a_trained_one(
    name: str, precision: Precision
) -> None:
    file = build_untrained(make_form(name, precision))
    untrained, trained = dict(read_anatomy(file).operators), operators(name, precision)
    if (name, precision) == ("lstm", Precision.INT8):
        # TensorFlow's converter adds some by chance: two files of one network may differ.
        for kind in ("QUANTIZE", "DEQUANTIZE"):
            assert untrained.pop(kind) >= 1
            assert trained.pop(kind) >= 1
    assert untrained == trained
    outputs = predict(file, some_digits().test.images)
    assert np.isfinite(outputs).all()
    assert np.ptp(outputs, axis=0).max() > 0.01, "a network that answers all images alike"


@pytest.mark.usefixtures("network_module")
def test_the_users_function_fixes_the_shape_itself() -> None:
    assert read_anatomy(build_untrained(make_own_form("small", units=16))).float_macs == (
        6 * 6 * 16 * 27 + 16 * 10
    )


@pytest.mark.usefixtures("network_module")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("any_size", "with inputs of fixed sizes, not \\(None, None, None, 3\\); give"),
        ("number", "must return a Keras model, but returned a int; correct it."),
    ],
)
def test_a_function_without_a_model_of_fixed_sizes_is_refused(function: str, message: str) -> None:
    with pytest.raises(TrialFailed, match=message):
        build_untrained(make_own_form(function))


def test_statistics_are_varied_and_of_the_layers_own_magnitude() -> None:
    from harness.models.keras import Model, layers

    image = layers.Input((4, 4, 3))
    large = layers.Rescaling(1000.0)(image)
    model = Model(image, layers.BatchNormalization()(large))
    randomise(model)
    gamma, beta, mean, variance = model.layers[-1].get_weights()
    assert (np.abs(gamma - 1) <= 0.3).all()
    assert (np.abs(beta) <= 0.3).all()
    assert len({*gamma, *beta, *mean, *variance}) == 4 * 3
    assert (variance > 0).all()
    assert 200 < np.sqrt(variance.mean()) < 1500  # uniform from -1000 to 1000: 577
    assert mean.min() < 0 < mean.max()


def test_pretrained_values_are_kept() -> None:
    from harness.models.keras import Model, layers

    image = layers.Input((4, 4, 2))
    model = Model(image, layers.BatchNormalization()(image))
    values = [np.array(pair, np.float32) for pair in ((1.1, 0.9), (0.2, 0), (3, 4), (5, 6))]
    model.set_weights(values)
    randomise(model)
    np.testing.assert_array_equal(model.get_weights(), values)


@pytest.mark.full
@pytest.mark.usefixtures("network_module")
def test_a_process_builds_the_same_bytes_and_survives_what_fails() -> None:
    form = make_form("mlp", Precision.BINARY)
    requested = [form, make_own_form("fails"), make_own_form("ends"), form]
    with FormBuilder() as builder:
        built, failed, ended, again = (
            future.result(timeout=120) for future in list(map(builder.build, requested))
        )
    assert isinstance(built, bytes)
    assert sha256_of(built) == sha256_of(build_untrained(form))
    assert again == built  # by another process, as the form before had ended the first
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.BUG
    assert "raised ValueError: no such layer (untrained_nets.py:19)" in failed.message
    assert isinstance(ended, Failure)
    assert ended.reason is Reason.KILLED


def test_leaving_the_context_cancels_what_waits() -> None:
    with FormBuilder() as builder:
        futures = [builder.build(make_form("mlp", Precision.BINARY)) for _ in range(3)]
    assert all(future.done() for future in futures)
    assert futures[-1].cancelled()
