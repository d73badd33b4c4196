"""Building blocks of networks: layers that are binary or float as the task says.

A binary network and its float twin differ only in these layers.
A binary layer has signs as inputs and weights.
The first layer takes real-valued pixels (`real_input`), as in Courbariaux, Hubara et al. (2016).
No layer has a bias, because batch normalisation follows each.
A layer that is float in every network is built for `as_float(task)`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.recipe import Initializer
from harness.core.sweep import Precision
from harness.models.architecture import Task

if TYPE_CHECKING:
    from harness.models.keras import Model

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-3


def dense(task: Task, units: int, *, real_input: bool = False) -> Any:
    """Return a dense layer over the last axis.

    It trains ten times faster than the same `pointwise` layer, which is deployed instead.
    """
    from harness.models.keras import larq, layers

    if task.binary:
        return larq.layers.QuantDense(
            units, use_bias=False, **_binary_settings(task, real_input=real_input)
        )
    start = make_initializer(task.initializer)
    return layers.Dense(units, use_bias=False, kernel_initializer=start)


def pointwise(task: Task, units: int, *, real_input: bool = False) -> Any:
    """Return a 1x1 convolution over (batch, height, width, channels).

    LCE has binary kernels for it, but not for `dense`.
    """
    return convolution(task, units, size=1, real_input=real_input)


def convolution(
    task: Task, filters: int, size: int, *, strides: int = 1, real_input: bool = False
) -> Any:
    """Return a `size` x `size` convolution that keeps the image's size by padding.

    A binary one pads with ones, because LCE has fast kernels for that only.
    """
    return _convolution(
        task, filters, size=(size, size), strides=strides, padding="same", real_input=real_input
    )


def window(task: Task, units: int, size: tuple[int, int]) -> Any:
    """Return a convolution whose kernel covers the whole input (height, width).

    It is the same function as `dense` over the flattened input.
    """
    return _convolution(task, units, size=size, strides=1, padding="valid", real_input=False)


def depthwise(task: Task, size: int, *, strides: int = 1) -> Any:
    """Return a `size` x `size` depthwise convolution.

    It is always float, because LCE has no binary kernel for it.
    """
    from harness.models.keras import layers

    start = make_initializer(task.initializer)
    return layers.DepthwiseConv2D(
        size, strides, padding="same", use_bias=False, depthwise_initializer=start
    )


def blur(channels: int) -> Any:
    """Return the untrained filter 1-2-1 in both directions, with strides of 2.

    It antialiases a pool (Zhang 2019).
    """
    from harness.models.keras import layers

    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    weights = [np.broadcast_to(kernel[..., np.newaxis, np.newaxis], (3, 3, channels, 1))]
    return layers.DepthwiseConv2D(
        3, 2, padding="same", use_bias=False, trainable=False, weights=weights
    )


def classify(task: Task, features: Any) -> Any:
    """Return scores from a float layer over the mean of the features.

    Features are (batch, height, width, channels).
    """
    from harness.models.keras import layers

    mean = layers.GlobalAveragePooling2D()(features)
    return normalisation()(dense(as_float(task), task.classes)(mean))


def as_float(task: Task) -> Task:
    """Return the task for a layer that is float in every network."""
    return replace(task, precision=Precision.FLOAT32)


def score(task: Task, features: Any) -> Any:
    """Return scores from a float layer with a bias over the mean of the features.

    Features are (batch, height, width, channels). Networks for ImageNet end like this.
    """
    from harness.models.keras import layers

    start = make_initializer(task.initializer)
    mean = layers.GlobalAveragePooling2D()(features)
    return layers.Dense(task.classes, kernel_initializer=start)(mean)


def normalisation(*, epsilon: float = BATCH_NORM_EPSILON, affine: bool = True) -> Any:
    """Return a batch normalisation, which ends in a trained scale and shift if it is `affine`."""
    from harness.models.keras import layers

    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, scale=affine, center=affine
    )


def activation(task: Task) -> Any:
    """Return ReLU for the float twin, else identity: the next layer's sign is the nonlinearity."""
    from harness.models.keras import layers

    return layers.Activation("linear" if task.binary else "relu")


def make_initializer(settings: Initializer) -> Any:
    """Make a Keras initializer whose values are scaled, so its variance by `scale` squared."""
    from harness.models.keras import keras

    initializer = keras.initializers.get(settings.distribution)
    initializer.scale *= settings.scale**2
    return initializer


def copy_weights(trained: "Model", deployed: "Model") -> "Model":
    """Copy the weights of `trained` into `deployed`: the same ones in the same order, reshaped."""
    pairs = zip(trained.get_weights(), deployed.get_weights(), strict=True)
    deployed.set_weights([source.reshape(target.shape) for source, target in pairs])
    return deployed


def add_softmax(model: "Model") -> "Model":
    """Append the softmax that every deployed network ends in."""
    from harness.models.keras import Model, layers

    return Model(model.inputs, layers.Softmax(name="probabilities")(model.output), name=model.name)


def _convolution(
    task: Task, filters: int, size: tuple[int, int], strides: int, padding: str, *, real_input: bool
) -> Any:
    from harness.models.keras import larq, layers

    shape = {
        "filters": filters,
        "kernel_size": size,
        "strides": strides,
        "padding": padding,
        "use_bias": False,
    }
    if task.binary:
        pad_values = 0.0 if real_input else 1.0
        quantizers = _binary_settings(task, real_input=real_input)
        return larq.layers.QuantConv2D(**shape, pad_values=pad_values, **quantizers)
    return layers.Conv2D(**shape, kernel_initializer=make_initializer(task.initializer))


def _binary_settings(task: Task, *, real_input: bool) -> dict[str, Any]:
    """Return a binary layer's quantizers, initializer and constraint.

    Latent weights are clipped to -1 to 1, because gradients fade or vanish beyond.
    """
    from harness.models.keras import larq

    start = make_initializer(task.initializer)
    inputs = {} if real_input else {"input_quantizer": task.input_quantizer}
    if task.kernel_quantizer is None:
        kernel = larq.quantizers.NoOp(precision=1)
        return {**inputs, "kernel_quantizer": kernel, "kernel_initializer": _draw_signs(start)}
    kernel = _make_dorefa() if task.kernel_quantizer == "dorefa" else task.kernel_quantizer
    return {
        **inputs,
        "kernel_quantizer": kernel,
        "kernel_initializer": start,
        "kernel_constraint": "weight_clip",
    }


def _make_dorefa() -> Any:
    """Make the one-bit quantizer of Zhou et al. (2016) without its scale.

    Weights are exactly ±1, as LCE's binary kernels need.
    """
    from harness.models.keras import larq

    return larq.quantizers.DoReFa(k_bit=1, mode="weights")


def _draw_signs(start: Any) -> Any:
    """Make an initializer that returns the signs of the values that `start` draws."""
    from harness.models.keras import keras, larq

    class Signs(keras.initializers.Initializer):  # type: ignore[misc]  # Keras ships no types
        def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
            return larq.math.sign(start(shape, dtype=dtype))

    return Signs()
