"""The only door to TensorFlow, Keras 2 and Larq: import them from here, never directly.

Larq needs Keras 2.
"""

from harness.models.environment import settle_environment

settle_environment()  # before TensorFlow's first import

import larq  # noqa: E402
import tensorflow as tf  # noqa: E402

keras = tf.keras
layers = tf.keras.layers
Model = tf.keras.Model
keras.utils.disable_interactive_logging()  # it would mix with our own standard output

# Random layers such as dropout then have a state, which a seed sets and a checkpoint keeps.
keras.backend.experimental.enable_tf_random_generator()

__all__ = ["Model", "keras", "larq", "layers", "tf"]
