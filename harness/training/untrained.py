"""Networks that are converted without any training, to be measured before it.

Weights hardly affect latency, except that a converter folds away what a fresh network contains: a
shift by 0, a scale of 1. Such values are therefore drawn at random, as training would leave them.
All values depend on the form alone, so a form has the same bytes whichever process builds it. The
exception is an int8 LSTM, which TensorFlow converts to one of several files by chance.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.conversion.convert import convert
from harness.core.forms import Form, FormTask
from harness.core.recipe import Recipe
from harness.core.sweep import Precision
from harness.models import build_architecture, make_task
from harness.models.blocks import add_softmax
from harness.models.custom import build_own_model
from harness.training.trial import start_clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.models.keras import Model

    Statistics = NDArray[np.float32]

_SEED = 0
_IMAGES = 16  # enough to know the magnitude of a layer's outputs, and to quantise to int8
_CONSTANT_SPREAD = 0.1  # of a trained gamma around 1, or a bias around 0
_CHANNEL_SPREAD = 0.5  # of channels around their layer: means in deviations, variances in logs


def build_untrained(form: Form) -> bytes:
    """Build and convert the network of a form. Raises TrialFailed."""
    start_clean(_SEED)
    if form.task is None:
        model = build_own_model(form.architecture, form.parameters)
        randomise(model)
        return convert(model, Precision.FLOAT32, samples=np.zeros(0, np.float32))
    return _build_for_task(form, form.task)


def _build_for_task(form: Form, task: FormTask) -> bytes:
    # Quantizers and initializers of a recipe change gradients and first weights only.
    architecture_task = make_task(
        task.shape, task.classes, precision=task.precision.trained, recipe=Recipe(epochs=1)
    )
    architecture = build_architecture(form.architecture, form.parameters)
    model = architecture.build_training_model(architecture_task)
    randomise(model)
    network = add_softmax(architecture.build_deployed_model(architecture_task, model))
    return convert(network, task.precision, samples=_draw_images((_IMAGES, *task.shape)))


def randomise(model: "Model") -> None:
    """Give a fresh network such values as training leaves where a fresh one has constants.

    - Weights of which all are equal, such as a gamma of 1 or a bias of 0, are spread around that.
    - The moving statistics of a batch normalisation get the place and the magnitude of what it
      really receives, from random images. Both are rounded coarsely, so that another order of a
      sum in floating point changes no bit.

    Values that are not those of a fresh network stay, so pretrained ones are kept.
    """
    random = np.random.default_rng(_SEED)
    normalisations = [layer for layer in _find_normalisations(model) if _is_fresh(layer)]
    for layer, (means, variances) in _measure_statistics(model, normalisations):
        deviation = _round_deviation(variances)
        shift, spread = _CHANNEL_SPREAD * random.standard_normal((2, *means.shape))
        layer.moving_mean.assign(deviation * (_round_means(means / deviation) + shift))
        layer.moving_variance.assign(deviation**2 * np.exp(spread))
    for weight in model.trainable_weights:
        values = weight.numpy()
        if values.size and (values == values.flat[0]).all():
            noise = _CONSTANT_SPREAD * random.standard_normal(values.shape)
            weight.assign(values + noise.clip(-3 * _CONSTANT_SPREAD, 3 * _CONSTANT_SPREAD))


def _find_normalisations(model: "Model") -> list[Any]:
    from harness.models.keras import layers

    return [layer for layer in model.submodules if isinstance(layer, layers.BatchNormalization)]


def _is_fresh(layer: Any) -> bool:
    if not layer.built:
        return False
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    return bool((mean == 0).all() and (variance == 1).all())


def _measure_statistics(
    model: "Model", normalisations: list[Any]
) -> list[tuple[Any, tuple["Statistics", "Statistics"]]]:
    """Return each layer with the means and the variances of what its channels receive."""
    momenta, fresh = [layer.momentum for layer in normalisations], model.get_weights()
    for layer in normalisations:
        layer.momentum = 0.0  # the moving statistics become those of the images
    inputs = [_draw_input(tensor) for tensor in model.inputs]
    model(inputs if len(inputs) > 1 else inputs[0], training=True)
    statistics = [
        (layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in normalisations
    ]
    model.set_weights(fresh)  # other layers may have kept something of the images, too
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
    return list(zip(normalisations, statistics, strict=True))


def _round_deviation(variances: "Statistics") -> float:
    """Round the standard deviation of a layer to a power of two."""
    variance = float(variances.mean(dtype=np.float64))
    if not np.isfinite(variance) or variance <= 0:
        return 1.0
    return float(2.0 ** round(np.log2(variance) / 2))


def _round_means(means: "Statistics") -> "Statistics":
    """Round means in deviations to the next half; one that is not finite becomes 0."""
    rounded: Statistics = np.round(2 * means) / 2
    return np.where(np.isfinite(rounded), rounded, np.float32(0))


def _draw_input(tensor: Any) -> Any:
    """Draw values for an input of a model: from -1 to 1 as images have, or 0 and 1 for integers."""
    shape = (_IMAGES, *tensor.shape[1:])
    images = _draw_images(shape)
    return images if tensor.dtype.is_floating else (images > 0).astype(tensor.dtype.as_numpy_dtype)


def _draw_images(shape: tuple[int, ...]) -> "NDArray[np.float32]":
    """Draw images from dark to bright: uniform noise alone looks alike to a pool."""
    noise = np.random.default_rng(_SEED).uniform(-1, 1, shape)
    brightness = np.linspace(-1, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return ((noise + brightness) / 2).astype(np.float32)
