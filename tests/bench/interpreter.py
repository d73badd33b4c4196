"""LCE's interpreter in this process, without TensorFlow."""

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bench.tools import RUNNER_FILE


@cache
def _extension() -> Any:
    """Loaded as the runner does, which is a program and no module of the harness."""
    spec = spec_from_file_location("runner", RUNNER_FILE)
    assert spec
    assert spec.loader
    runner = module_from_spec(spec)
    spec.loader.exec_module(runner)
    return runner.larq_module("larq_compute_engine")


def predict(flatbuffer: bytes, images: NDArray[Any]) -> NDArray[np.float32]:
    """(n, classes) of images (n, height, width, channels), one at a time."""
    interpreter = _extension().LiteInterpreter(flatbuffer, 1, False, False, True)
    return np.concatenate([interpreter.predict([image[None]])[0] for image in images])
