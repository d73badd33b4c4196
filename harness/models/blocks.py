"""What networks are made of: a layer, binary or float as the task says; what stands around it differs in nothing.

A binary layer takes signs in and has signs for weights; its first one takes real-valued pixels (`real_input`), as the
networks of Courbariaux, Hubara et al. (2016) do. No layer has a bias: batch normalisation follows every one.
A layer that is float in the binary network too is built for `real(task)`.
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


def dense(task: Task, units: int, *, real_input: bool = False) -> Any:
    """A product over the last axis: as `pointwise`, which is deployed in its place, but it trains ten times faster."""
    from harness.models.keras import larq, layers

    if task.binary:
        return larq.layers.QuantDense(units, use_bias=False, **_binary(task, real_input))
    return layers.Dense(units, use_bias=False, kernel_initializer=initializer(task.initializer))


def pointwise(task: Task, units: int, *, real_input: bool = False) -> Any:
    """A 1x1 convolution over (batch, height, width, channels), for which LCE has binary kernels; `dense` has none."""
    return convolution(task, units, size=1, real_input=real_input)


def convolution(
    task: Task, filters: int, size: int, *, strides: int = 1, real_input: bool = False
) -> Any:
    """`size` x `size`; padded to the same size with ones where it is binary, for which alone LCE has fast kernels."""
    return _convolution(
        task, filters, size=(size, size), strides=strides, padding="same", real_input=real_input
    )


def window(task: Task, units: int, size: tuple[int, int]) -> Any:
    """A convolution whose kernel covers its whole input (height, width): as `dense` over that, flattened."""
    return _convolution(task, units, size=size, strides=1, padding="valid", real_input=False)


def depthwise(task: Task, size: int, *, strides: int = 1) -> Any:
    """`size` x `size` over each channel by itself; float always, as LCE has no binary kernel for it."""
    from harness.models.keras import layers

    start = initializer(task.initializer)
    return layers.DepthwiseConv2D(
        size, strides, padding="same", use_bias=False, depthwise_initializer=start
    )


def blur(channels: int) -> Any:
    """The filter 1-2-1 in both directions, with strides of 2, not trained: what antialiases a pool (Zhang 2019)."""
    from harness.models.keras import layers

    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    weights = [np.broadcast_to(kernel[..., np.newaxis, np.newaxis], (3, 3, channels, 1))]
    return layers.DepthwiseConv2D(
        3, 2, padding="same", use_bias=False, trainable=False, weights=weights
    )


def classified(task: Task, features: Any) -> Any:
    """(batch, height, width, channels) → scores: their mean, through a float layer."""
    from harness.models.keras import layers

    mean = layers.GlobalAveragePooling2D()(features)
    return normalisation()(dense(real(task), task.classes)(mean))


def real(task: Task) -> Task:
    """The task for a layer that is float whatever the network is."""
    return replace(task, precision=Precision.FLOAT32)


def normalisation() -> Any:
    from harness.models.keras import layers

    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)


def activation(task: Task) -> Any:
    """ReLU in the float twin; the binary network's nonlinearity is the next layer's sign."""
    from harness.models.keras import layers

    return layers.Activation("linear" if task.binary else "relu")


def initializer(start: Initializer) -> Any:
    """A distribution of Keras's with its values scaled: its variance by `scale` squared."""
    from harness.models.keras import keras

    found = keras.initializers.get(start.distribution)
    found.scale *= start.scale**2
    return found


def with_weights_of(trained: "Model", deployed: "Model") -> "Model":
    """`deployed` with the weights of `trained`: the same ones in the same order, each but reshaped."""
    pairs = zip(trained.get_weights(), deployed.get_weights(), strict=True)
    deployed.set_weights([source.reshape(target.shape) for source, target in pairs])
    return deployed


def with_probabilities(model: "Model") -> "Model":
    """A network of scores with a softmax after it, which is what is deployed."""
    from harness.models.keras import Model, layers

    return Model(model.inputs, layers.Softmax(name="probabilities")(model.output), name=model.name)


def _convolution(
    task: Task, filters: int, size: tuple[int, int], strides: int, padding: str, real_input: bool
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
        return larq.layers.QuantConv2D(**shape, pad_values=pad_values, **_binary(task, real_input))
    return layers.Conv2D(**shape, kernel_initializer=initializer(task.initializer))


def _binary(task: Task, real_input: bool) -> dict[str, Any]:
    """A binary layer's settings. Latent weights are clipped to -1 to 1: further out, gradients fade or are none."""
    from harness.models.keras import larq

    start = initializer(task.initializer)
    inputs = {} if real_input else {"input_quantizer": task.input_quantizer}
    if task.kernel_quantizer is None:
        kernel = larq.quantizers.NoOp(precision=1)
        return {**inputs, "kernel_quantizer": kernel, "kernel_initializer": _signs(start)}
    kernel = _dorefa() if task.kernel_quantizer == "dorefa" else task.kernel_quantizer
    return {
        **inputs,
        "kernel_quantizer": kernel,
        "kernel_initializer": start,
        "kernel_constraint": "weight_clip",
    }


def _dorefa() -> Any:
    """Weights of one bit after Zhou et al. (2016), without their scale: exactly ±1, as LCE's binary kernels need."""
    from harness.models.keras import larq

    return larq.quantizers.DoReFa(k_bit=1, mode="weights")


def _signs(start: Any) -> Any:
    """Binary from the start: the signs of what `start` draws."""
    from harness.models.keras import keras, larq

    class Signs(keras.initializers.Initializer):  # type: ignore[misc]  # Keras ships no types
        def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
            return larq.math.sign(start(shape, dtype=dtype))

    return Signs()
