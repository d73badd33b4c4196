"""How a case is measured and read: argv, logs, facts, protocol, quality.

Pure but for the runner, a program of its own.
"""

from pathlib import Path

CANARIES = Path(__file__).with_name("canaries")
"""The models of `tools/make_canaries.py`: `float.tflite`, which every tool runs, and `binary.tflite`."""
