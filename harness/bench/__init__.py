"""Pure functions for measuring a case: argv, logs, facts, protocol, quality.

The runner is the exception: it is a program of its own.
"""

from pathlib import Path

CANARIES = Path(__file__).with_name("canaries")
"""The models of `tools/make_canaries.py`.

`float.tflite` runs with every tool; `binary.tflite` does not."""
