"""Generator of the canary models: `.venv/bin/python tools/make_canaries.py`.

A new file starts a new canary history, so run this rarely.

Both models are small and spend most of their time in the operators that they watch.
The float canary has convolutions that every tool can run.
The binary canary has convolutions whose optimised and reference kernels differ.
"""

from pathlib import Path

import numpy as np

from harness.conversion.convert import convert
from harness.core.sweep import Precision
from harness.models.keras import keras

import larq  # isort: skip  # harness.models.keras chooses the Keras version first

FOLDER = Path(__file__).parents[1] / "harness" / "bench" / "canaries"
NO_SAMPLES = np.zeros(0, np.float32)  # only int8 quantisation needs some


def float_canary() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 8), batch_size=1),
            *(layers.Conv2D(32, 3, padding="same", activation="relu") for _ in range(3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def binary_canary() -> keras.Model:
    layers = keras.layers
    binary = {
        "padding": "same",
        "pad_values": 1.0,
        "use_bias": False,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
    }
    body = []
    for _ in range(3):
        body.append(larq.layers.QuantConv2D(128, 3, **binary))
        body.append(layers.BatchNormalization(momentum=0.9))
    return keras.Sequential(
        [
            keras.Input((14, 14, 128), batch_size=1),
            *body,
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def main() -> None:
    keras.utils.set_random_seed(1)
    for name, model in (("float", float_canary()), ("binary", binary_canary())):
        content = convert(model, Precision.FLOAT32, samples=NO_SAMPLES)
        (FOLDER / f"{name}.tflite").write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
