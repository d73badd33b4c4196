"""The door to TensorFlow, Keras 2 and Larq, which needs Keras 2: import them from here, never directly."""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # before TensorFlow's first import: Larq can't use Keras 3
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notices about instruction sets are not the user's

import larq
import tensorflow as tf

keras = tf.keras
layers = tf.keras.layers
Model = tf.keras.Model
keras.utils.disable_interactive_logging()  # what it writes to standard output would stand among the answers

__all__ = ["Model", "keras", "larq", "layers", "tf"]
