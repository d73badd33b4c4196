"""The script runs for real: in each shell, with a small tool in sh and with the Python runner."""

import io
import os
import subprocess
import sys
from functools import partial
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
    build_argv,
    compare_outputs,
    load_probe,
    make_flags,
    make_random_inputs,
    read_outputs,
    save_probe,
    select_surest,
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
WORDS = Tensor("words", (1, 2), dtype="int64")
MASK = Tensor("mask", (1, 5), dtype="bool")
Completed = subprocess.CompletedProcess[str]


def floats(values: object) -> NDArray[np.float32]:
    return np.array(values, np.float32)


# ---- A probe.


def test_a_probe_is_saved_and_loaded() -> None:
    inputs = (make_random_inputs(IMAGE, 3), make_random_inputs(WORDS, 3))
    outputs = (make_random_inputs(NUMBERS, 3), make_random_inputs(MASK, 3))
    loaded = load_probe(save_probe(Probe(inputs, outputs)))
    for arrays, originals in ((loaded.inputs, inputs), (loaded.outputs, outputs)):
        for array, original in zip(arrays, originals, strict=True):
            assert array.dtype == original.dtype
            assert np.array_equal(array, original)


def test_only_the_images_of_an_earlier_version_are_used() -> None:
    """It gave all images to one interpreter, which may have remembered some."""
    file = io.BytesIO()
    np.savez_compressed(file, inputs=floats([[1, 2], [3, 4]]), outputs=floats([[0], [1]]))
    probe = load_probe(file.getvalue())
    assert [values.tolist() for values in probe.inputs] == [[[1, 2], [3, 4]]]
    assert probe.outputs == ()


def make_pickled_probe() -> bytes:
    file = io.BytesIO()
    np.savez(file, inputs=np.array([{}], object), outputs=np.zeros(1))
    return file.getvalue()


def make_probe_without_inputs() -> bytes:
    file = io.BytesIO()
    np.savez(file, output_0=np.zeros(0))
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"garbage", make_pickled_probe(), make_probe_without_inputs()]
)
def test_a_file_that_is_not_a_probe_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="is damaged"):
        load_probe(content)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=3))
@settings(max_examples=500)
def test_a_damaged_probe_is_refused_or_read(position: int, damage: bytes) -> None:
    content = save_probe(Probe((np.zeros((2, 4), np.float32),), (np.ones((2, 3), np.float32),)))
    try:
        load_probe(content[:position] + damage + content[position + len(damage) :])
    except ValueError as error:
        if "is damaged" not in str(error):
            raise


def test_the_surest_images_of_each_class_come_first() -> None:
    outputs = floats([[0.5, 0.4, 0.1], [0.1, 0.0, 0.9], [0.34, 0.33, 0.33], [0.3, 0.7, 0.0]])
    assert select_surest(outputs, 3).tolist() == [1, 3, 0]
    assert select_surest(outputs).tolist() == [1, 3, 0, 2]


def test_one_class_does_not_take_all_places() -> None:
    certain, likely, other_class = [0.0, 1.0], [0.2, 0.8], [0.6, 0.4]
    outputs = floats([certain, likely, certain, other_class])
    assert select_surest(outputs, 2).tolist() == [0, 3]


def test_a_model_with_a_single_output_gets_the_first_images() -> None:
    assert select_surest(floats([[5], [9], [1]]), 2).tolist() == [0, 1]
    assert select_surest(floats([[5], [9], [1]])).tolist() == [0, 1, 2]


def test_images_whose_best_classes_have_no_difference_come_last() -> None:
    outputs = floats([[inf, inf], [nan, nan], [1, 2], [3, 0]])
    assert set(select_surest(outputs, 2).tolist()) == {2, 3}


def test_integer_outputs_do_not_overflow() -> None:
    outputs = np.array([[-128, 127], [0, 120], [126, 127]], np.int8)
    assert select_surest(outputs, 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float32", -1, 1), ("float16", -1, 1), ("int8", -127, 127), ("int32", 0, 99)],
)
def test_random_inputs_are_the_same_in_every_call(dtype: str, low: int, high: int) -> None:
    tensor = Tensor("x", (1, 8, 8, 3), dtype=dtype)
    inputs = make_random_inputs(tensor, 5)
    assert inputs.shape == (5, 8, 8, 3)
    assert inputs.dtype == np.dtype(dtype)
    assert low <= inputs.min() < inputs.max() <= high
    assert np.array_equal(inputs, make_random_inputs(tensor, 5))
    assert np.array_equal(inputs[:2], make_random_inputs(tensor, 2))


# ---- The tool's flags.


def test_the_flags_equal_those_of_the_recording() -> None:
    tensor = Tensor("serving_default_input_1:0", (1, 28, 28, 1), dtype="float32")
    recorded = (GOLDEN / "io_True_0_xnnfalse" / "cmd").read_text().replace("\\", "").split()
    flags = make_flags([tensor], ["in0.bin"], output_file="io_True_0_xnnfalse.out")
    assert {flag for flag in flags if "put" in flag} == {flag for flag in recorded if "put" in flag}
    assert {
        "--num_runs=1",
        "--min_secs=0",
        "--warmup_runs=0",
        "--warmup_min_secs=0",
        "--num_threads=1",
    } <= set(flags)


def test_a_colon_is_doubled_in_file_names_too() -> None:
    flags = make_flags([Tensor("a:b", (1,), dtype="float32")], ["c:d"], output_file="out")
    assert "--input_layer_value_files=a::b:c::d" in flags


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("image", "a:b"), ("image", "a:b")),
        (("image", "a,b"), ("input0", "input1")),
        (("image", "image"), ("input0", "input1")),
        (("image", ""), ("input0", "input1")),
        (("a,b",), ("input0",)),
        (("",), ("input0",)),
    ],
)
def test_inputs_keep_their_names_unless_these_can_not_stand_side_by_side(
    names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    tensors = [Tensor(name, (1, 2), dtype="float32") for name in names]
    flags = make_flags(
        tensors, [f"file{number}" for number in range(len(names))], output_file="out"
    )
    assert f"--input_layer={','.join(expected)}" in flags
    assert f"--input_layer_shape={':'.join(['1,2'] * len(names))}" in flags
    files = (f"{name.replace(':', '::')}:file{number}" for number, name in enumerate(expected))
    assert f"--input_layer_value_files={','.join(files)}" in flags


# ---- The tool's answers.


def scores(width: int) -> list[Tensor]:
    return [Tensor("scores", (1, width), dtype="float32")]


def test_the_output_of_a_recording_is_read() -> None:
    raw = (GOLDEN / "io_True_0_xnnfalse" / "output.bin").read_bytes()
    outputs = read_outputs(raw.hex(" ", 1), 1, tensors=scores(10))
    assert outputs is not None
    assert [values.shape for values in outputs] == [(1, 10)]
    assert outputs[0].sum() == pytest.approx(1), "a softmax"


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(st.floats(width=32), min_size=k, max_size=k), min_size=1)
    )
)
def test_printed_outputs_are_read_back(rows: list[list[float]]) -> None:
    printed = "".join(f" {floats(row).astype('<f4').tobytes().hex(' ')}\n" for row in rows)
    outputs = read_outputs(printed, len(rows), tensors=scores(len(rows[0])))
    assert outputs is not None
    assert outputs[0].dtype == np.float32
    assert np.array_equal(outputs[0], floats(rows), equal_nan=True)


def test_outputs_of_several_types_are_read_image_by_image() -> None:
    tensors = [
        Tensor("classes", (1, 2), dtype="int64"),
        Tensor("count", (), dtype="uint8"),
        Tensor("nothing", (1, 0), dtype="float32"),
        Tensor("scores", (1, 3), dtype="float16"),
    ]
    expected = [make_random_inputs(tensor, 4).reshape(4, -1) for tensor in tensors]
    content = b""
    for row in range(4):
        content += b"".join(values[row].tobytes() for values in expected)
    outputs = read_outputs(content.hex(" "), 4, tensors=tensors)
    assert outputs is not None
    for values, original, tensor in zip(outputs, expected, tensors, strict=True):
        assert values.dtype == tensor.dtype
        assert np.array_equal(values, original)


@pytest.mark.parametrize("stdout", ["", "\n", " \r\n"])
def test_a_tool_that_wrote_nothing_gives_no_answer(stdout: str) -> None:
    assert read_outputs(stdout, 1, tensors=scores(10)) is None


@pytest.mark.parametrize(
    "stdout", ["00 00 80", "00 00 80 3f", "0", "zz", "00 " * 12, "INFO: STARTING!"]
)
def test_an_incomplete_answer_is_refused(stdout: str) -> None:
    with pytest.raises(CaseFailed, match="did not write 1 × 2 outputs") as caught:
        read_outputs(stdout, 1, tensors=scores(2))
    assert (caught.value.reason, caught.value.log) == (Reason.UNPARSABLE, stdout)


@given(st.text())
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    try:
        read_outputs(text, 1, tensors=scores(1))
    except CaseFailed as failure:
        if failure.reason is not Reason.UNPARSABLE:
            raise


@pytest.mark.parametrize(
    ("expected", "actual", "agreement"),
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
        pytest.param(
            [[1, 2]], [[nan, 2]], Agreement(1, None, classes_agree=False), id="not a number"
        ),
        pytest.param([[1, 2]], [[1, inf]], Agreement(1, None, classes_agree=False), id="infinite"),
        pytest.param(
            [[inf, 2]], [[-inf, 2]], Agreement(1, None, classes_agree=False), id="another infinity"
        ),
        pytest.param(
            [[1, nan, inf]],
            [[1.5, nan, inf]],
            Agreement(1, 0.5, classes_agree=True),
            id="not a number and infinite on both sides",
        ),
        pytest.param(
            [[nan, 1, 2]],
            [[nan, 2, 1]],
            Agreement(1, 1, classes_agree=False),
            id="another class beside what is no number",
        ),
        pytest.param(
            [[5, 1, 5]],
            [[5 - 2**-12, 1, 5]],
            Agreement(1, 2**-12, classes_agree=True),
            id="two classes that tie",
        ),
        pytest.param(
            [[5, 1, 5]],
            [[4, 1, 5]],
            Agreement(1, 1, classes_agree=False),
            id="a tie that is none any more",
        ),
        pytest.param(
            [[nan, -10, -2]],
            [[nan, -2, -10]],
            Agreement(1, 8, classes_agree=False),
            id="another class among negative scores beside what is no number",
        ),
        pytest.param(
            [[nan, 1000, 1004]],
            [[nan, 1004, 1000]],
            Agreement(1, 4, classes_agree=False),
            id="another class among scores of a narrow range beside what is no number",
        ),
        pytest.param(
            [[-1, -inf, -3]],
            [[-3, -inf, -1]],
            Agreement(1, 2, classes_agree=False),
            id="another class beside what is infinitely low",
        ),
        pytest.param(
            [[inf, 1, 2]],
            [[inf, 2, 1]],
            Agreement(1, 1, classes_agree=True),
            id="a class that is infinitely high",
        ),
        pytest.param(
            [[nan, nan], [1, 2]],
            [[nan, nan], [2, 1]],
            Agreement(2, 1, classes_agree=False),
            id="an image without numbers excuses no other",
        ),
        pytest.param([[nan]], [[nan]], Agreement(1, 0, classes_agree=True), id="never a number"),
        pytest.param(
            [[2.0**127, -(2.0**127)]],
            [[-(2.0**127), 2.0**127]],
            Agreement(1, 2.0**128, classes_agree=False),
            id="a range that 32 bits do not hold",
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
    expected: list[list[float]], actual: list[list[float]], agreement: Agreement
) -> None:
    tensors = scores(len(expected[0]))
    assert compare_outputs([floats(expected)], [floats(actual)], tensors=tensors) == agreement


@pytest.mark.parametrize(
    ("expected", "actual"),
    [([-1e9, -1, -9], [-1e9, -9, -1]), ([1e-4, 2e-4, 9e-4], [9e-4, 2e-4, 1e-4])],
    ids=["masked scores", "small scores"],
)
def test_the_range_of_the_scores_hides_no_other_class(
    expected: list[float], actual: list[float]
) -> None:
    agreement = compare_outputs([floats([expected])], [floats([actual])], tensors=scores(3))
    assert agreement.classes_agree is False


def test_each_output_of_a_model_is_compared() -> None:
    expected = [[1, 9], [9, 2], [7]]
    assert agree(expected, [[1, 9], [9.5, 2], [7]], dtype="float32") is True
    for wrong in ([[9, 1], [9, 2], [7]], [[1, 9], [2, 9], [7]], [[1, 9], [9, 2], [3]]):
        assert agree(expected, wrong, dtype="float32") is False


def test_an_output_without_values_agrees() -> None:
    assert agree([[], [1, 2]], [[], [1, 2]], dtype="float32") is True
    assert agree([[], [1, 2]], [[], [2, 1]], dtype="float32") is False
    assert agree([[]], [[]], dtype="int64") is True


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize(
    ("expected", "actual", "verdict"),
    [
        ([100, 7, 3], [99, 9, 3], True),
        ([100, 98, 3], [99, 99, 3], True),
        ([100, 98, 3], [98, 100, 3], True),
        ([100, 90, 3], [90, 100, 3], False),
        ([100], [98], True),
        ([100], [97], False),
    ],
)
def test_a_quantized_output_may_differ_by_the_rounding_of_its_steps(
    dtype: str, expected: list[int], actual: list[int], *, verdict: bool
) -> None:
    assert agree([expected], [actual], dtype=dtype, is_quantized=True) is verdict


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "uint8"])
@pytest.mark.parametrize(
    ("differing", "verdict"), [(0, True), (1, True), (2, None), (25, None), (26, False)]
)
def test_other_whole_numbers_are_right_wrong_or_unknown_by_the_share_that_differs(
    dtype: str, differing: int, *, verdict: bool | None
) -> None:
    expected, actual = [0] * 100, [1] * differing + [0] * (100 - differing)
    assert agree([expected], [actual], dtype=dtype) is verdict


def test_large_whole_numbers_are_compared_exactly() -> None:
    assert agree([[2**62]], [[2**62 + 1]], dtype="int64") is False


def test_a_wrong_output_is_not_hidden_by_an_unknown_one() -> None:
    tensors = [Tensor("class", (1, 1), dtype="int64"), *scores(2)]
    classes, others = np.zeros((8, 1), np.int64), np.eye(8, 1, dtype=np.int64)
    right, wrong = floats([[1, 2]] * 8), floats([[2, 1]] * 8)
    assert compare_outputs([classes, right], [others, right], tensors=tensors) == Agreement(
        8, 1, classes_agree=None
    )
    assert compare_outputs([classes, right], [others, wrong], tensors=tensors) == Agreement(
        8, 1, classes_agree=False
    )


def agree(
    expected: list[Any], actual: list[Any], dtype: str, *, is_quantized: bool = False
) -> bool | None:
    """Return the verdict on one image, whose outputs have this type."""
    tensors = [
        Tensor("output", (1, len(values)), dtype=dtype, is_quantized=is_quantized)
        for values in expected
    ]
    first, second = (
        tuple(map(partial(np.array, dtype=dtype, ndmin=2), side)) for side in (expected, actual)
    )
    return compare_outputs(first, second, tensors=tensors).classes_agree


# ---- On a device.

# It copies its inputs to its outputs.
TOOL = """\
#!/bin/sh
for flag; do
    case $flag in
        --input_layer_value_files=*) files=${flag#*=} ;;
        --output_filepath=*) output=${flag#*=} ;;
    esac
done
echo "INFO: STARTING! $*"
[ -e fails ] && exit 134
[ -e silent ] && { echo "WARN: Unconsumed cmdline flags: --output_filepath"; exit 0; }
IFS=,
for file in $files; do cat "${file#*:}"; done > "$output"
"""


@pytest.fixture(params=["sh", "dash", "busybox", "mksh", "bash"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH on which `sh` is that shell; busybox brings its own dd and od."""
    folder = install_shell(request.param, tmp_path_factory.mktemp("programs"))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "my tool").write_text(TOOL)
    (tmp_path / "my tool").chmod(0o755)
    return tmp_path


def answer(device: Path, path: str, *images: NDArray[Any], **settings: Any) -> Completed:
    files = []
    for number, values in enumerate(images):
        files.append(f"images{number}.bin")
        (device / files[-1]).write_bytes(values.tobytes())
    argv = build_argv(
        ["./my tool"],
        "model",
        tensors=(NUMBERS, WORDS)[: len(images)],
        files=files,
        count=len(images[0]),
        folder="some folder",
        **settings,
    )
    env = {**os.environ, "PATH": path}
    return subprocess.run(
        argv, cwd=device, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def list_leftovers(device: Path) -> set[str]:
    names = {path.name for path in device.iterdir() if not path.match("images*.bin")}
    return names - {"my tool", "fails", "silent"}


@pytest.mark.parametrize("in_one_process", [False, True])
def test_each_image_is_answered_in_turn(device: Path, shell: str, *, in_one_process: bool) -> None:
    images = make_random_inputs(NUMBERS, 11)
    completed = answer(device, shell, images, in_one_process=in_one_process)
    assert completed.returncode == 0
    outputs = read_outputs(completed.stdout, 11, tensors=[NUMBERS])
    assert outputs is not None
    assert np.array_equal(outputs[0], images)
    assert completed.stderr.count("INFO: STARTING!") == (1 if in_one_process else 11)
    assert list_leftovers(device) == set()


def test_each_image_has_its_part_of_every_input(device: Path, shell: str) -> None:
    images, words = make_random_inputs(NUMBERS, 12), make_random_inputs(WORDS, 12)
    completed = answer(device, shell, images, words)
    assert completed.returncode == 0, completed.stderr
    outputs = read_outputs(completed.stdout, 12, tensors=[NUMBERS, WORDS])
    assert outputs is not None
    assert np.array_equal(outputs[0], images)
    assert np.array_equal(outputs[1], words)
    assert list_leftovers(device) == set()


def test_the_script_ends_with_the_exit_code_of_the_tool(device: Path, shell: str) -> None:
    (device / "fails").touch()
    completed = answer(device, shell, make_random_inputs(NUMBERS, 2))
    assert (completed.returncode, completed.stdout) == (134, "")
    assert completed.stderr.count("INFO: STARTING!") == 1
    assert list_leftovers(device) == set()


def test_a_tool_that_does_not_know_the_flags_prints_nothing(device: Path, shell: str) -> None:
    (device / "silent").touch()
    completed = answer(device, shell, make_random_inputs(NUMBERS, 2))
    assert (completed.returncode, completed.stdout) == (0, "")
    assert read_outputs(completed.stdout, 2, tensors=[NUMBERS]) is None
    assert list_leftovers(device) == set()


def test_the_leftovers_of_a_killed_script_are_not_taken_for_an_answer(
    device: Path, shell: str
) -> None:
    (device / "silent").touch()
    (device / "some folder").mkdir()
    (device / "some folder" / "output").write_bytes(bytes(12))
    completed = answer(device, shell, make_random_inputs(NUMBERS, 1))
    assert (completed.returncode, completed.stdout) == (0, "")
    assert list_leftovers(device) == set()


def test_missing_images_are_reported(device: Path, shell: str) -> None:
    argv = build_argv(
        ["./my tool"],
        "model",
        tensors=[NUMBERS],
        files=["missing.bin"],
        count=1,
        folder="some folder",
    )
    env = {**os.environ, "PATH": shell}
    completed = subprocess.run(
        argv, cwd=device, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert completed.returncode not in (0, 134)
    assert "missing.bin" in completed.stderr
    assert list_leftovers(device) == set()


@pytest.mark.parametrize("model", ["binary_64", "float_64"])
@pytest.mark.parametrize("in_one_process", [True, False])
def test_the_python_runner_answers_as_the_interpreter_of_this_machine(
    tmp_path: Path, model: str, *, in_one_process: bool
) -> None:
    content = (MODELS / f"{model}.tflite").read_bytes()
    (tensor,) = read_inputs(content)
    images = make_random_inputs(tensor, 3)
    (tmp_path / "images.bin").write_bytes(images.tobytes())
    (tmp_path / "model.tflite").write_bytes(content)
    argv = build_argv(
        [sys.executable, str(RUNNER_FILE)],
        "model.tflite",
        tensors=[tensor],
        files=["images.bin"],
        count=3,
        folder="answers",
        in_one_process=in_one_process,
    )
    completed = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert completed.returncode == 0
    outputs = read_outputs(completed.stdout, 3, tensors=scores(10))
    assert outputs is not None
    assert compare_outputs([predict(content, images)], outputs, tensors=scores(10)) == Agreement(
        3, 0, classes_agree=True
    )
