"""The script runs for real: under each shell here, with a small tool in sh, and with the Python runner."""

import io
import os
import subprocess
import sys
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.bench.answers import (
    Agreement,
    Probe,
    compare,
    flags,
    load_probe,
    random_inputs,
    read_outputs,
    save_probe,
    script,
    surest,
)
from harness.bench.tools import RUNNER_FILE
from harness.conversion.anatomy import Tensor, read_inputs
from harness.conversion.evaluate import predict
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import GOLDEN
from tests.shells import install_shell

MODELS = Path(__file__).parents[1] / "data" / "models"
IMAGE = Tensor("serving_default_image:0", (1, 8, 8, 1), dtype="float32")
NUMBERS = Tensor("numbers", (1, 3), dtype="float32")
Ended = subprocess.CompletedProcess[str]


def floats(values: object) -> NDArray[np.float32]:
    return np.array(values, np.float32)


# ---- A probe.


def test_a_probe_is_saved_and_loaded() -> None:
    probe = Probe(random_inputs(IMAGE, 3), random_inputs(NUMBERS, 3))
    loaded = load_probe(save_probe(probe))
    assert np.array_equal(loaded.inputs, probe.inputs)
    assert np.array_equal(loaded.outputs, probe.outputs)
    assert loaded.inputs.dtype == loaded.outputs.dtype == np.float32


def pickled() -> bytes:
    file = io.BytesIO()
    np.savez(file, inputs=np.array([{}], object), outputs=np.zeros(1))
    return file.getvalue()


def without_outputs() -> bytes:
    file = io.BytesIO()
    np.savez(file, inputs=np.zeros(1))
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK", b"garbage", pickled(), without_outputs()])
def test_what_is_no_probe_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no saved probe"):
        load_probe(content)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=3))
@settings(max_examples=500)
def test_a_damaged_probe_is_refused_or_read(position: int, damage: bytes) -> None:
    content = save_probe(Probe(np.zeros((2, 4), np.float32), np.ones((2, 3), np.float32)))
    try:
        load_probe(content[:position] + damage + content[position + len(damage) :])
    except ValueError as refused:
        if "no saved probe" not in str(refused):
            raise


def test_the_surest_images_of_each_class_come_first() -> None:
    outputs = floats([[0.5, 0.4, 0.1], [0.1, 0.0, 0.9], [0.34, 0.33, 0.33], [0.3, 0.7, 0.0]])
    assert surest(outputs, 3).tolist() == [1, 3, 0]
    assert surest(outputs).tolist() == [1, 3, 0, 2]


def test_a_class_that_the_model_is_surest_of_does_not_take_all_places() -> None:
    sure, less, other = [0.0, 1.0], [0.2, 0.8], [0.6, 0.4]
    assert surest(floats([sure, less, sure, other]), 2).tolist() == [0, 3]


def test_of_a_single_output_the_first_images_are_taken() -> None:
    assert surest(floats([[5], [9], [1]]), 2).tolist() == [0, 1]
    assert surest(floats([[5], [9], [1]])).tolist() == [0, 1, 2]


def test_whole_numbers_are_as_sure() -> None:
    assert surest(np.array([[-128, 127], [0, 120], [126, 127]], np.int8), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [("float32", -1, 1), ("float16", -1, 1), ("int8", 0, 126), ("uint8", 0, 126)],
)
def test_random_inputs_are_the_same_at_every_call(dtype: str, least: int, most: int) -> None:
    tensor = Tensor("x", (1, 8, 8, 3), dtype=dtype)
    found = random_inputs(tensor, 5)
    assert found.shape == (5, 8, 8, 3)
    assert found.dtype == np.dtype(dtype)
    assert least <= found.min() < found.max() <= most
    assert np.array_equal(found, random_inputs(tensor, 5))
    assert np.array_equal(found[:2], random_inputs(tensor, 2))


# ---- What the tool is told.


def test_the_flags_are_the_recordings() -> None:
    tensor = Tensor("serving_default_input_1:0", (1, 28, 28, 1), dtype="float32")
    recorded = (GOLDEN / "io_True_0_xnnfalse" / "cmd").read_text().replace("\\", "").split()
    told = flags(tensor, "in0.bin", output_file="io_True_0_xnnfalse.out")
    assert {flag for flag in told if "put" in flag} == {flag for flag in recorded if "put" in flag}
    assert {
        "--num_runs=1",
        "--min_secs=0",
        "--warmup_runs=0",
        "--warmup_min_secs=0",
        "--num_threads=1",
    } <= set(told)


def test_a_colon_is_doubled_in_a_files_name_too() -> None:
    assert "--input_layer_value_files=a::b:c::d" in flags(
        Tensor("a:b", (1,), dtype="float32"), "c:d", output_file="out"
    )


# ---- What it answers.


def test_a_recordings_output_is_read() -> None:
    raw = (GOLDEN / "io_True_0_xnnfalse" / "output.bin").read_bytes()
    found = read_outputs(raw.hex(" ", 1), 1, classes=10)
    assert found is not None
    assert found.shape == (1, 10)
    assert found.sum() == pytest.approx(1)  # of a softmax


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(st.floats(width=32), min_size=k, max_size=k), min_size=1)
    )
)
def test_printed_outputs_are_read_back(rows: list[list[float]]) -> None:
    printed = "".join(
        f" {row.hex(' ')}\n" for row in (floats(row).astype("<f4").tobytes() for row in rows)
    )
    found = read_outputs(printed, len(rows), classes=len(rows[0]))
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, floats(rows), equal_nan=True)


@pytest.mark.parametrize("stdout", ["", "\n", " \r\n"])
def test_a_tool_that_wrote_nothing_can_not_tell(stdout: str) -> None:
    assert read_outputs(stdout, 1, classes=10) is None


@pytest.mark.parametrize(
    "stdout", ["00 00 80", "00 00 80 3f", "0", "zz", "00 " * 12, "INFO: STARTING!"]
)
def test_half_an_answer_is_refused(stdout: str) -> None:
    with pytest.raises(CaseFailed, match="did not write 1 × 2 outputs") as caught:
        read_outputs(stdout, 1, classes=2)
    assert (caught.value.reason, caught.value.log) == (Reason.UNPARSABLE, stdout)


@given(st.text())
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    try:
        read_outputs(text, 1, classes=1)
    except CaseFailed as refused:
        if refused.reason is not Reason.UNPARSABLE:
            raise


@pytest.mark.parametrize(
    ("expected", "found", "agreement"),
    [
        pytest.param(
            [[1, 2], [4, 3]], [[1, 2], [4, 3]], Agreement(2, 0, classes_agree=True), id="the same"
        ),
        pytest.param(
            [[1, 2], [4, 3]],
            [[1, 2.5], [4, 3]],
            Agreement(2, 0.5, classes_agree=True),
            id="the same classes",
        ),
        pytest.param(
            [[1, 2], [4, 3]],
            [[3, 2], [4, 3]],
            Agreement(2, 2, classes_agree=False),
            id="another class",
        ),
        pytest.param([[1, 2]], [[nan, 2]], Agreement(1, inf, classes_agree=False), id="no number"),
        pytest.param(
            [[1, 2]], [[1, inf]], Agreement(1, inf, classes_agree=False), id="without end"
        ),
        pytest.param(
            [[1, nan]], [[1, nan]], Agreement(1, inf, classes_agree=False), id="no number expected"
        ),
        pytest.param(
            [[0], [100]], [[1], [100]], Agreement(2, 1, classes_agree=True), id="one output, near"
        ),
        pytest.param(
            [[0], [100]], [[0], [102]], Agreement(2, 2, classes_agree=False), id="one output, far"
        ),
        pytest.param(
            [[5]],
            [[5 + 2**-11]],
            Agreement(1, 2**-11, classes_agree=True),
            id="one output of one image, near",
        ),
        pytest.param(
            [[5]],
            [[5.5]],
            Agreement(1, 0.5, classes_agree=False),
            id="one output of one image, far",
        ),
    ],
)
def test_answers_are_compared(
    expected: list[list[float]], found: list[list[float]], agreement: Agreement
) -> None:
    assert compare(floats(expected), floats(found)) == agreement


# ---- On a device.

# Answers with what it was asked.
TOOL = """\
#!/bin/sh
for flag; do
    case $flag in
        --input_layer_value_files=*) input=${flag#*=numbers:} ;;
        --output_filepath=*) output=${flag#*=} ;;
    esac
done
echo "INFO: STARTING! $*"
[ -e fails ] && exit 134
[ -e silent ] && { echo "WARN: Unconsumed cmdline flags: --output_filepath"; exit 0; }
cat "$input" > "$output"
"""


@pytest.fixture(params=["sh", "dash", "busybox", "mksh", "bash"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `sh` is that one; busybox brings its own dd and od."""
    folder = install_shell(request.param, tmp_path_factory.mktemp("programs"))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "my tool").write_text(TOOL)
    (tmp_path / "my tool").chmod(0o755)
    return tmp_path


def ask(device: Path, path: str, images: NDArray[Any], **settings: Any) -> Ended:
    (device / "images.bin").write_bytes(images.astype("<f4").tobytes())
    argv = script(
        ["./my tool"],
        "model",
        input=NUMBERS,
        images="images.bin",
        count=len(images),
        folder="some folder",
        **settings,
    )
    env = {**os.environ, "PATH": path}
    return subprocess.run(
        argv, cwd=device, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def left(device: Path) -> set[str]:
    return {path.name for path in device.iterdir()} - {"my tool", "images.bin", "fails", "silent"}


@pytest.mark.parametrize("at_once", [False, True])
def test_each_image_is_answered_in_turn(device: Path, shell: str, at_once: bool) -> None:
    images = random_inputs(NUMBERS, 11)
    ended = ask(device, shell, images=images, at_once=at_once)
    assert ended.returncode == 0
    found = read_outputs(ended.stdout, 11, classes=3)
    assert found is not None
    assert np.array_equal(found, images)
    assert ended.stderr.count("INFO: STARTING!") == (1 if at_once else 11)
    assert left(device) == set()


def test_the_tools_exit_code_is_the_scripts(device: Path, shell: str) -> None:
    (device / "fails").touch()
    ended = ask(device, shell, images=random_inputs(NUMBERS, 2))
    assert (ended.returncode, ended.stdout) == (134, "")
    assert ended.stderr.count("INFO: STARTING!") == 1
    assert left(device) == set()


def test_a_tool_that_does_not_know_the_flags_prints_nothing(device: Path, shell: str) -> None:
    (device / "silent").touch()
    ended = ask(device, shell, images=random_inputs(NUMBERS, 2))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert read_outputs(ended.stdout, 2, classes=3) is None
    assert left(device) == set()


def test_what_a_killed_script_left_is_no_answer(device: Path, shell: str) -> None:
    (device / "silent").touch()
    (device / "some folder").mkdir()
    (device / "some folder" / "output").write_bytes(bytes(12))
    ended = ask(device, shell, images=random_inputs(NUMBERS, 1))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert left(device) == set()


def test_images_that_are_not_there_end_in_words(device: Path, shell: str) -> None:
    argv = script(
        ["./my tool"], "model", input=NUMBERS, images="nothing.bin", count=1, folder="some folder"
    )
    env = {**os.environ, "PATH": shell}
    ended = subprocess.run(
        argv, cwd=device, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode not in (0, 134)
    assert "nothing.bin" in ended.stderr
    assert left(device) == set()


@pytest.mark.parametrize("model", ["binary_64", "float_64"])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_python_runner_answers_as_the_interpreter_here(
    tmp_path: Path, model: str, at_once: bool
) -> None:
    content = (MODELS / f"{model}.tflite").read_bytes()
    (tensor,) = read_inputs(content)
    images = random_inputs(tensor, 3)
    (tmp_path / "images.bin").write_bytes(images.tobytes())
    (tmp_path / "model.tflite").write_bytes(content)
    argv = script(
        [sys.executable, str(RUNNER_FILE)],
        "model.tflite",
        input=tensor,
        images="images.bin",
        count=3,
        folder="answers",
        at_once=at_once,
    )
    ended = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0
    found = read_outputs(ended.stdout, 3, classes=10)
    assert found is not None
    assert compare(predict(content, images), found) == Agreement(3, 0, classes_agree=True)
