"""The Python runner as a program of its own, on small real models."""

import os
import subprocess
import sys
from math import isclose
from pathlib import Path

import numpy
import pytest
from numpy.typing import NDArray

from harness.bench.toollog import parse_log
from harness.bench.tools import NO_INTERPRETER, RUNNER_FILE, make_arguments, read_output
from harness.conversion.evaluate import predict
from harness.core.bench import Protocol
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import load_recording

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY, FLOAT = MODELS / "binary_64.tflite", MODELS / "float_64.tflite"
FEW = ("--num_runs=3", "--min_secs=0", "--warmup_runs=2", "--warmup_min_secs=0")

Ended = subprocess.CompletedProcess[str]


def run(
    *flags: str,
    python: tuple[str, ...] = (sys.executable,),
    environment: dict[str, str] | None = None,
) -> Ended:
    argv = [*python, str(RUNNER_FILE), *flags]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)


def bench(model: Path, *flags: str) -> Ended:
    return run(f"--graph={model}", *FEW, *flags)


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_its_output_is_the_tools(model: Path) -> None:
    ended = bench(model, "--report_peak_memory_footprint=true")
    assert ended.returncode == 0
    assert "ERROR" not in ended.stderr
    log = parse_log(f"{ended.stdout}\n{ended.stderr}")
    assert log.inference.count == 3
    assert log.warmup is not None
    assert log.warmup.count == 2
    assert 0 < log.inference.min_us <= log.inference.avg_us <= log.inference.max_us
    assert log.init_us is not None
    assert log.init_us > 0
    assert log.peak_memory_bytes is not None
    assert 10_000_000 < log.peak_memory_bytes < 2_000_000_000
    assert log.resident_memory_bytes is not None
    assert 10_000_000 < log.resident_memory_bytes <= log.peak_memory_bytes


def test_the_summary_says_what_the_series_said() -> None:
    ended = bench(BINARY)
    assert f"INFO: Loaded model {BINARY}\n" in ended.stdout
    assert "INFO: The input model file size (MB): 0.021712\n" in ended.stdout
    (summary,) = (line for line in ended.stdout.splitlines() if "Inference timings in us" in line)
    average = float(summary.rpartition("Inference (avg): ")[2])
    assert isclose(average, parse_log(ended.stdout).inference.avg_us, rel_tol=1e-4)


def test_peak_memory_is_told_only_where_it_was_asked_for() -> None:
    assert parse_log(bench(BINARY).stdout).peak_memory_bytes is None


def test_the_flags_that_were_given_are_echoed_and_no_others() -> None:
    flags = (
        f"--graph={BINARY}",
        "--num_threads=2",
        "--num_runs=4",
        "--min_secs=0.01",
        "--max_secs=20",
    )
    ended = run(*flags, "--warmup_runs=1", "--warmup_min_secs=0", "--use_reference_bconv=true")
    assert parse_log(ended.stdout).echo == {
        "Graph": str(BINARY),
        "Num threads": "2",
        "Min num runs": "4",
        "Min runs duration (seconds)": "0.01",
        "Max runs duration (seconds)": "20",
        "Min warmup runs": "1",
        "Min warmup runs duration (seconds)": "0",
        "Use reference bconv": "1",
    }


def test_it_takes_what_the_harness_passes() -> None:
    protocol = Protocol("tiny", threads=2, warmup_min_secs=0.01, num_runs=5, min_secs=0.01)
    ended = run(*make_arguments(protocol, str(BINARY)))
    log = read_output(protocol, ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    assert log.inference.count >= 5


def test_a_flag_and_its_value_may_stand_apart() -> None:
    ended = run("--graph", str(BINARY), *FEW, "--num_threads", "2")
    assert ended.returncode == 0
    assert parse_log(ended.stdout).echo["Num threads"] == "2"


@pytest.mark.parametrize("flag", ["--enable_op_profiling=true", "--num_run=7", "stray"])
def test_an_unknown_flag_is_a_warning_that_the_parser_refuses(flag: str) -> None:
    ended = bench(BINARY, flag)
    assert ended.returncode == 0
    assert f"WARN: Unconsumed cmdline flags: {flag}\n" in ended.stdout
    with pytest.raises(CaseFailed) as failed:
        parse_log(ended.stdout)
    assert failed.value.reason is Reason.ECHO_MISMATCH


@pytest.mark.parametrize("flag", ["--num_threads=two", "--use_xnnpack=perhaps"])
def test_a_value_that_is_none_is_refused_in_words(flag: str) -> None:
    ended = bench(BINARY, flag)
    assert ended.returncode not in (0, NO_INTERPRETER)
    assert flag.partition("=")[0] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_runs_at_all_print_a_count_of_0_and_succeed_as_the_tool_does() -> None:
    ended = bench(BINARY, "--num_runs=0", "--warmup_runs=0")
    assert ended.returncode == 0
    assert ended.stdout.count("INFO: count=0\n") == 2
    with pytest.raises(CaseFailed) as failed:
        parse_log(ended.stdout)
    assert failed.value.reason is Reason.NOTHING_RAN


def test_a_single_run_prints_its_time_alone() -> None:
    ended = bench(BINARY, "--num_runs=1")
    assert "INFO: count=1 curr=" in ended.stdout
    timing = parse_log(ended.stdout).inference
    assert timing.count == 1
    assert timing.first_us == timing.min_us == timing.max_us == timing.avg_us > 0


def test_min_secs_asks_for_more_than_num_runs() -> None:
    timing = parse_log(bench(BINARY, "--num_runs=1", "--min_secs=0.2").stdout).inference
    assert timing.count > 1
    assert timing.count * timing.avg_us < 1e6


def test_max_secs_ends_it() -> None:
    ended = bench(BINARY, "--num_runs=100000000", "--max_secs=0.2")
    assert ended.returncode == 0
    timing = parse_log(ended.stdout).inference
    assert 1 < timing.count < 100_000_000
    assert timing.count * timing.avg_us < 1e6


NAME = "serving_default_image:0"
ESCAPED = NAME.replace(":", "::")
IMAGES = numpy.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype("<f4")


def answer(folder: Path, model: Path, images: NDArray[numpy.float32], *flags: str) -> Ended:
    (folder / "in.bin").write_bytes(images.tobytes())
    values = f"--input_layer_value_files={ESCAPED}:{folder / 'in.bin'}"
    shape = "--input_layer_shape=1,8,8,1"
    return bench(
        model,
        f"--input_layer={NAME}",
        shape,
        values,
        f"--output_filepath={folder / 'out.bin'}",
        *flags,
    )


@pytest.mark.parametrize("flag", ["", "--use_xnnpack=false", "--use_reference_bconv=true"])
@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_what_it_is_asked_it_answers(tmp_path: Path, model: Path, flag: str) -> None:
    ended = answer(tmp_path, model, IMAGES, *filter(None, [flag]))
    assert ended.returncode == 0
    assert parse_log(ended.stdout).inference.count == 3
    found = numpy.frombuffer((tmp_path / "out.bin").read_bytes(), "<f4").reshape(3, 10)
    assert numpy.abs(found - predict(model.read_bytes(), IMAGES)).max() < 1e-5
    assert len(numpy.unique(found, axis=0)) == 3


def test_a_single_input_is_what_the_tool_takes_too(tmp_path: Path) -> None:
    assert answer(tmp_path, BINARY, images=IMAGES[:1]).returncode == 0
    assert len((tmp_path / "out.bin").read_bytes()) == 10 * 4


def test_inputs_and_outputs_are_echoed_as_the_tool_does(tmp_path: Path) -> None:
    echo = parse_log(answer(tmp_path, BINARY, images=IMAGES[:1]).stdout).echo
    words = [
        "Graph",
        "Input layers",
        "Input shapes",
        "Input value files",
        "File path to export outputs layer to",
    ]
    assert [echo[one] for one in words[1:]] == [
        NAME,
        "1,8,8,1",
        f"{ESCAPED}:{tmp_path}/in.bin",
        f"{tmp_path}/out.bin",
    ]
    for printed in (echo, parse_log(load_recording("io_True_0_xnnfalse").stdout).echo):
        assert [one for one in printed if one in words] == words


def test_outputs_of_the_values_it_makes_up_are_written_too(tmp_path: Path) -> None:
    assert bench(BINARY, f"--output_filepath={tmp_path / 'out.bin'}").returncode == 0
    assert numpy.frombuffer((tmp_path / "out.bin").read_bytes(), "<f4").sum() == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.parametrize("size", [0, 1, 8 * 8 * 4 - 1, 8 * 8 * 4 + 1])
def test_values_of_the_wrong_size_are_refused(tmp_path: Path, size: int) -> None:
    ended = answer(tmp_path, BINARY, images=numpy.zeros(size, numpy.uint8))
    assert ended.returncode == 1
    assert f"ERROR: {tmp_path}/in.bin has {size} bytes: an input has 256\n" in ended.stderr
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--input_layer_value_files=serving_default_image::0:/no/such/file", "/no/such/file"),
        ("--input_layer_value_files=serving_default_image:0:in.bin", "has to be the NAME"),
        ("--input_layer_value_files=another:in.bin", "has to be the NAME"),
        ("--input_layer_value_files=in.bin", "has to be the NAME"),
        ("--input_layer_shape=1,28,28,1", "the model's input is 1,8,8,1"),
        ("--output_filepath=/no/such/folder/out.bin", "/no/such/folder/out.bin"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_words(tmp_path: Path, flag: str, words: str) -> None:
    ended = answer(tmp_path, BINARY, IMAGES[:1], flag)
    assert ended.returncode == 1
    assert words in ended.stderr.splitlines()[-2]
    assert ended.stderr.endswith("ERROR: Benchmarking failed.\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "flags", [(), ("--graph=",), ("--graph=/no/such/model.tflite",), (f"--graph={MODELS}",)]
)
def test_a_file_that_can_not_be_read_is_an_error_in_words(flags: tuple[str, ...]) -> None:
    ended = run(*flags, *FEW)
    assert ended.returncode == 1
    assert ended.stderr.startswith("ERROR: ")
    assert "Traceback" not in ended.stderr
    with pytest.raises(CaseFailed, match="graph") as failed:
        read_output(Protocol("tiny"), ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    assert failed.value.reason is Reason.CRASHED


@pytest.mark.parametrize("content", [b"", b"garbage", b"garbage" * 1000])
def test_a_file_that_is_no_model_is_an_error_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    ended = bench(tmp_path / "model.tflite")
    assert ended.returncode == 1
    assert "ERROR: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_model_that_is_cut_short_is_a_crash_with_a_reason(tmp_path: Path, length: int) -> None:
    """The interpreter may even end by a signal there; the harness goes on and says why."""
    (tmp_path / "model.tflite").write_bytes(FLOAT.read_bytes()[:length])
    ended = bench(tmp_path / "model.tflite")
    with pytest.raises(CaseFailed) as failed:
        read_output(Protocol("tiny"), ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    assert failed.value.reason is Reason.CRASHED


def test_it_describes_its_interpreter() -> None:
    ended = run("--describe")
    assert (ended.returncode, ended.stderr) == (0, "")
    name, version = ended.stdout.split()
    assert name == "larq-compute-engine"
    assert version[0].isdigit()


@pytest.fixture(params=["numpy and no interpreter", "nothing at all"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment in which `python -S` is a device's Python, with or without numpy."""
    if request.param == "nothing at all":
        return {"PYTHONPATH": ""}
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (tmp_path / name).symlink_to(packages / name)
    return {"PYTHONPATH": str(tmp_path)}


def test_a_python_without_an_interpreter_says_so_with_an_exit_code_of_its_own(
    bare: dict[str, str],
) -> None:
    ended = run(f"--graph={BINARY}", *FEW, python=(sys.executable, "-S"), environment=bare)
    assert ended.returncode == NO_INTERPRETER
    assert ended.stderr.startswith("ERROR: ")
    assert "Traceback" not in ended.stderr
    with pytest.raises(CaseFailed) as failed:
        read_output(Protocol("tiny"), ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    assert failed.value.reason is Reason.NO_INTERPRETER


def test_a_python_without_an_interpreter_describes_none(bare: dict[str, str]) -> None:
    ended = run("--describe", python=(sys.executable, "-S"), environment=bare)
    assert (ended.returncode, ended.stdout) == (NO_INTERPRETER, "none\n")
    (words,) = ended.stderr.splitlines()
    assert words.startswith("ERROR: ")
    for name in (
        "larq-compute-engine (x86-64 Linux only)",
        "ai-edge-litert",
        "tflite-runtime",
        "lce_benchmark_model",
    ):
        assert name in words


def test_it_imports_no_tensorflow() -> None:
    ended = run(f"--graph={BINARY}", *FEW, python=(sys.executable, "-X", "importtime"))
    assert ended.returncode == 0
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()
    }
    assert "numpy" in imported
    assert (
        not {"tensorflow", "larq_compute_engine", "larq", "tf_keras", "keras", "ray", "harness"}
        & imported
    )
