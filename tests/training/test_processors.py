"""The processors that TensorFlow sees, and the refusal to train on the CPU in place of a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness import data
from harness.core.errors import Reason
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.training.events import EpochEnded, Failed, Finished, UnitEvent
from harness.training.processors import describe_driver
from harness.training.trial import Stopwatch
from harness.training.unit import Conditions, Unit, run_unit

# Lines of NVIDIA's kernel modules, in their two editions
DRIVERS = {
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n": "NVIDIA driver 550.54.15",
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build\n": (
        "NVIDIA driver 570.86"
    ),
    "": "no NVIDIA driver",
}


def run(recipe: Recipe, conditions: Conditions) -> list[UnitEvent]:
    trial = Trial(
        "mlp",
        {"layers": 1, "units": 8},
        chosen={},
        precision=Precision.FLOAT32,
        dataset="digits",
        recipe=recipe,
        seed=0,
    )
    digits = data.load("digits")
    return list(run_unit(Unit((trial,)), digits, conditions=conditions, watch=Stopwatch()))


@pytest.mark.parametrize("text", DRIVERS)
def test_the_driver_is_named_with_its_version(tmp_path: Path, text: str) -> None:
    file = tmp_path / "version"
    file.write_text(text)
    assert describe_driver(file) == DRIVERS[text]


def test_a_machine_without_a_driver_is_described_as_one(tmp_path: Path) -> None:
    assert describe_driver(tmp_path / "missing") == "no NVIDIA driver"


def test_a_gpu_that_tensorflow_does_not_see_fails_the_trial_before_its_first_step() -> None:
    events = run(Recipe(epochs=1), Conditions(gpus=0.5))
    assert not [event for event in events if isinstance(event, EpochEnded)]
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert failed.failure.reason is Reason.NO_GPU
    message = failed.failure.message
    assert message.startswith(f"{failed.node}: TensorFlow sees no GPU ({describe_driver()}); ")
    assert message.endswith("run `pip install '.[gpu]'` there, or set resources.gpu to 0.")
    assert failed.processors == "CPU"


def test_a_network_that_may_as_well_guess_carries_a_warning() -> None:
    events = run(Recipe(epochs=1, learning_rate=1e-9, validation=0.0), Conditions())
    (finished,) = (event for event in events if isinstance(event, Finished))
    (warning,) = finished.outcome.warnings
    assert warning.name == "chance"
    assert "of 360 test images right" in warning.value
    assert finished.outcome.processors == "CPU"


def test_a_network_that_learned_carries_none() -> None:
    events = run(Recipe(epochs=2, learning_rate=0.01), Conditions())
    (finished,) = (event for event in events if isinstance(event, Finished))
    assert finished.outcome.warnings == ()


@pytest.mark.full
def test_a_process_of_its_own_answers_the_doctor() -> None:
    command = [sys.executable, "-m", "harness.training.processors"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "CPU\n"
