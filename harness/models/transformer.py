"""A vision transformer, which reads an image patch by patch.

See Dosovitskiy et al. (2021, arxiv.org/abs/2010.11929).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp
from harness.models.architecture import Task
from harness.models.blocks import (
    activation,
    as_float,
    classify,
    convolution,
    copy_weights,
    dense,
    normalisation,
    pointwise,
)

if TYPE_CHECKING:
    from harness.models.keras import Model


@dataclass(frozen=True)
class Transformer:
    """Blocks of attention and two layers, of which the first is four times as wide.

    Attention has `heads` of `head_units` each.
    Patches are `patch` x `patch` pixels; zeros around the image fill incomplete ones.

    Two details follow Le and Li (2023, BinaryViT, arxiv.org/abs/2306.16678).
    The mean of all patches is classified, without a class token.
    Each residual branch is scaled just before it is added.
    Batch normalisation does that, because LCE can't fuse layer normalisation.

    A projection takes the signs of its input.
    Shortcuts bypass it, as in Bi-Real Net (Liu et al. 2018).
    All projections of a block are binary.
    The embedding, the two products of attention and its softmax are not.
    The float twin has ReLU between the two layers of a block.
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
        """The size of a patch's embedding."""
        return self.heads * self.head_units

    def build_training_model(self, task: Task) -> "Model":
        from harness.models.keras import layers, tf

        def embed(image: Any) -> Any:
            missing = [-size % self.patch for size in task.shape[:2]]
            # The same padding as a convolution's "same".
            padding = tuple((gap // 2, gap - gap // 2) for gap in missing)
            patches = tf.nn.space_to_depth(layers.ZeroPadding2D(padding)(image), self.patch)
            return dense(as_float(task), self.units)(patches)

        return self._build_network(task, embed, linear=dense)

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        def embed(image: Any) -> Any:
            return convolution(as_float(task), self.units, size=self.patch, strides=self.patch)(
                image
            )

        return copy_weights(trained, self._build_network(task, embed, linear=pointwise))

    def _build_network(
        self, task: Task, embed: Callable[[Any], Any], linear: Callable[..., Any]
    ) -> "Model":
        from harness.models.keras import Model, layers

        image = layers.Input(task.shape, name="image")
        x = layers.Reshape((1, -1, self.units))(normalisation()(embed(image)))
        x = _add_positions(x)
        for _ in range(self.blocks):
            attention = self._attend(normalisation()(linear(task, 3 * self.units)(x)))
            x = x + normalisation()(linear(task, self.units)(attention))
            wide = activation(task)(normalisation()(linear(task, 4 * self.units)(x)))
            x = x + normalisation()(linear(task, self.units)(wide))
        return Model(image, classify(task, x), name="transformer")

    def _attend(self, projections: Any) -> Any:
        """Return (batch, 1, patches, units) for projections (batch, 1, patches, 3 * units).

        Heads are computed one by one.
        LCE's converter would split a batched product and leave three times as many reshapes.
        Both factors of a product are multiplied by the root of its scale, so that it is fused.
        Normalisation later removes that factor from the values.
        """
        from harness.models.keras import tf

        parts = tf.split(projections * self.head_units**-0.25, 3 * self.heads, axis=-1)
        queries, keys = parts[: self.heads], parts[self.heads : -self.heads]
        values = parts[-self.heads :]
        heads = zip(queries, keys, values, strict=True)
        return tf.concat(
            [_attend_one_head(query, key, value=value) for query, key, value in heads], axis=-1
        )


def _attend_one_head(query: Any, key: Any, value: Any) -> Any:
    """Return the attention of Vaswani et al. (2017) for already scaled inputs of one head.

    Each input is (batch, 1, patches, head_units).
    """
    from harness.models.keras import tf

    return tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True)), value)


def _add_positions(patches: Any) -> Any:
    """Add the learned position embeddings to patches (batch, 1, patches, units)."""
    from harness.models.keras import keras, layers

    # As large as a normalised embedding: smaller values change few signs, which binary networks
    # learn slowly.
    start = keras.initializers.TruncatedNormal(stddev=1.0)

    class Placed(layers.Layer):  # type: ignore[misc]  # Keras ships no types
        def build(self, shape: Any) -> None:
            self.places = self.add_weight("places", shape[1:], initializer=start)

        def call(self, inputs: Any) -> Any:
            return inputs + self.places

    return Placed()(patches)
