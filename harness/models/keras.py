"""The door to TensorFlow, Keras 2 and Larq, which needs Keras 2: import them from here, never directly."""

from harness.models.environment import settle_environment

settle_environment()  # before TensorFlow's first import

import larq  # noqa: E402
import tensorflow as tf  # noqa: E402

keras = tf.keras
layers = tf.keras.layers
Model = tf.keras.Model
keras.utils.disable_interactive_logging()  # what it writes to standard output would stand among the answers

__all__ = ["Model", "keras", "larq", "layers", "tf"]
