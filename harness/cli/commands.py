"""Every command, registered by being imported; none imports TensorFlow or Ray before it has to train."""

from harness.cli import ask, bench, care, submit

__all__ = ["ask", "bench", "care", "submit"]
