"""A vision transformer (Dosovitskiy et al. 2021, arxiv.org/abs/2010.11929), which reads an image patch by patch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    activation,
    classified,
    convolution,
    dense,
    normalisation,
    pointwise,
    real,
    with_weights_of,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Transformer:
    """`blocks` of attention with `heads` of `head_units` each, and of two layers, the first four times as wide.

    It reads patches of `patch` x `patch` pixels; zeros around the image fill the last ones. After Le and Li (2023,
    BinaryViT, arxiv.org/abs/2306.16678) the mean of all patches is classified, no token of its own, and what a shortcut
    adds is scaled just before: by batch normalisation, which LCE fuses, as it can't layer normalisation. A projection
    takes the signs of what it reads, and shortcuts lead around those (Bi-Real Net, Liu et al. 2018). All of a block's
    projections are binary; the embedding, the two products of attention and its softmax are not. The float twin has
    ReLU between a block's two layers.
    """

    blocks: Annotated[int, Ge(1), Le(100), KeyHelp("Blocks of attention and two layers.")] = 2
    heads: Annotated[int, Ge(1), Lt(2**10), KeyHelp("Attention heads of each block.")] = 4
    head_units: Annotated[int, Ge(1), Lt(2**16), KeyHelp("Units of each head.")] = 32
    patch: Annotated[
        int, Ge(2), Lt(2**16), KeyHelp("Height and width of a patch.", unit="pixels")
    ] = 4
    __pydantic_config__ = STRICT

    @property
    def units(self) -> int:
        """What a patch is embedded in."""
        return self.heads * self.head_units

    def training_model(self, task: Task) -> "Model":
        from harness.models.keras import layers, tf

        def embedded(image: Any) -> Any:
            missing = [-size % self.patch for size in task.shape[:2]]
            around = tuple(
                (gap // 2, gap - gap // 2) for gap in missing
            )  # as a convolution's 'same' padding
            patches = tf.nn.space_to_depth(layers.ZeroPadding2D(around)(image), self.patch)
            return dense(real(task), self.units)(patches)

        return self._network(task, embedded, dense)

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        def embedded(image: Any) -> Any:
            return convolution(real(task), self.units, size=self.patch, strides=self.patch)(image)

        return with_weights_of(trained, self._network(task, embedded, pointwise))

    def _network(
        self, task: Task, embedded: Callable[[Any], Any], linear: Callable[..., Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = layers.Reshape((1, -1, self.units))(normalisation()(embedded(image)))
        x = _placed(x)
        for _ in range(self.blocks):
            attended = self._attended(normalisation()(linear(task, 3 * self.units)(x)))
            x = x + normalisation()(linear(task, self.units)(attended))
            wide = activation(task)(normalisation()(linear(task, 4 * self.units)(x)))
            x = x + normalisation()(linear(task, self.units)(wide))
        return Model(image, classified(task, x), name="transformer")

    def _attended(self, projected: Any) -> Any:
        """(batch, 1, patches, 3 * units) → (batch, 1, patches, units).

        Head by head: LCE's converter takes a batched product apart, and leaves three times the reshaping. The root of
        a product's scale is in both of its factors, where it is fused; normalisation takes it out of the values again.
        """
        from harness.models.keras import tf

        parts = tf.split(projected * self.head_units**-0.25, 3 * self.heads, axis=-1)
        queries, keys, values = (
            parts[: self.heads],
            parts[self.heads : -self.heads],
            parts[-self.heads :],
        )
        heads = zip(queries, keys, values, strict=True)
        return tf.concat(
            [_attention(query, key, value=value) for query, key, value in heads], axis=-1
        )


def _attention(query: Any, key: Any, value: Any) -> Any:
    """Of one head (Vaswani et al. 2017), each (batch, 1, patches, head_units), already scaled."""
    from harness.models.keras import tf

    return tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True)), value)


def _placed(patches: Any) -> Any:
    """With what is learned of each place added (batch, 1, patches, units)."""
    from harness.models.keras import keras, layers

    # As large as a normalised embedding: one that is smaller changes few signs, and binary networks learn it slowly.
    start = keras.initializers.TruncatedNormal(stddev=1.0)

    class Placed(layers.Layer):  # type: ignore[misc]  # Keras ships no types
        def build(self, shape: Any) -> None:
            self.places = self.add_weight("places", shape[1:], initializer=start)

        def call(self, inputs: Any) -> Any:
            return inputs + self.places

    return Placed()(patches)
