"""The Python runner, run as a program on small real models."""

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
FEW_RUNS = ("--num_runs=3", "--min_secs=0", "--warmup_runs=2", "--warmup_min_secs=0")

Completed = subprocess.CompletedProcess[str]


def run(
    *flags: str,
    python: tuple[str, ...] = (sys.executable,),
    environment: dict[str, str] | None = None,
) -> Completed:
    argv = [*python, str(RUNNER_FILE), *flags]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)


def bench(model: Path, *flags: str) -> Completed:
    return run(f"--graph={model}", *FEW_RUNS, *flags)


@pytest.mark.parametrize("model", [BINARY, FLOAT], ids=["binary", "float"])
def test_its_output_parses_like_that_of_the_tool(model: Path) -> None:
    completed = bench(model, "--report_peak_memory_footprint=true")
    assert completed.returncode == 0
    assert "ERROR" not in completed.stderr
    log = parse_log(f"{completed.stdout}\n{completed.stderr}")
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


def test_the_summary_repeats_the_average_of_the_series() -> None:
    completed = bench(BINARY)
    assert f"INFO: Loaded model {BINARY}\n" in completed.stdout
    assert "INFO: The input model file size (MB): 0.021712\n" in completed.stdout
    (summary,) = (
        line for line in completed.stdout.splitlines() if "Inference timings in us" in line
    )
    average = float(summary.rpartition("Inference (avg): ")[2])
    assert isclose(average, parse_log(completed.stdout).inference.avg_us, rel_tol=1e-4)


def test_peak_memory_is_printed_on_request_only() -> None:
    assert parse_log(bench(BINARY).stdout).peak_memory_bytes is None


def test_only_the_flags_that_were_passed_are_echoed() -> None:
    flags = (
        f"--graph={BINARY}",
        "--num_threads=2",
        "--num_runs=4",
        "--min_secs=0.01",
        "--max_secs=20",
    )
    completed = run(*flags, "--warmup_runs=1", "--warmup_min_secs=0", "--use_reference_bconv=true")
    assert parse_log(completed.stdout).echo == {
        "Graph": str(BINARY),
        "Num threads": "2",
        "Min num runs": "4",
        "Min runs duration (seconds)": "0.01",
        "Max runs duration (seconds)": "20",
        "Min warmup runs": "1",
        "Min warmup runs duration (seconds)": "0",
        "Use reference bconv": "1",
    }


def test_it_accepts_the_flags_that_the_harness_passes() -> None:
    protocol = Protocol("tiny", threads=2, warmup_min_secs=0.01, num_runs=5, min_secs=0.01)
    completed = run(*make_arguments(protocol, str(BINARY)))
    log = read_output(
        protocol, completed.returncode, stdout=completed.stdout, stderr=completed.stderr
    )
    assert log.inference.count >= 5


def test_a_flag_and_its_value_may_be_separate_arguments() -> None:
    completed = run("--graph", str(BINARY), *FEW_RUNS, "--num_threads", "2")
    assert completed.returncode == 0
    assert parse_log(completed.stdout).echo["Num threads"] == "2"


@pytest.mark.parametrize("flag", ["--enable_op_profiling=true", "--num_run=7", "stray"])
def test_an_unknown_flag_is_a_warning_that_the_parser_refuses(flag: str) -> None:
    completed = bench(BINARY, flag)
    assert completed.returncode == 0
    assert f"WARN: Unconsumed cmdline flags: {flag}\n" in completed.stdout
    with pytest.raises(CaseFailed) as failed:
        parse_log(completed.stdout)
    assert failed.value.reason is Reason.ECHO_MISMATCH


@pytest.mark.parametrize("flag", ["--num_threads=two", "--use_xnnpack=perhaps"])
def test_an_invalid_value_is_refused_with_a_message(flag: str) -> None:
    completed = bench(BINARY, flag)
    assert completed.returncode not in (0, NO_INTERPRETER)
    assert flag.partition("=")[0] in completed.stderr
    assert "Traceback" not in completed.stderr


def test_no_runs_at_all_print_a_count_of_0_and_succeed_as_the_tool_does() -> None:
    completed = bench(BINARY, "--num_runs=0", "--warmup_runs=0")
    assert completed.returncode == 0
    assert completed.stdout.count("INFO: count=0\n") == 2
    with pytest.raises(CaseFailed) as failed:
        parse_log(completed.stdout)
    assert failed.value.reason is Reason.NOTHING_RAN


def test_a_single_run_prints_its_time_alone() -> None:
    completed = bench(BINARY, "--num_runs=1")
    assert "INFO: count=1 curr=" in completed.stdout
    timing = parse_log(completed.stdout).inference
    assert timing.count == 1
    assert timing.first_us == timing.min_us == timing.max_us == timing.avg_us > 0


def test_min_secs_may_require_more_runs_than_num_runs() -> None:
    timing = parse_log(bench(BINARY, "--num_runs=1", "--min_secs=0.2").stdout).inference
    assert timing.count > 1
    assert timing.count * timing.avg_us < 1e6


def test_max_secs_ends_the_series() -> None:
    completed = bench(BINARY, "--num_runs=100000000", "--max_secs=0.2")
    assert completed.returncode == 0
    timing = parse_log(completed.stdout).inference
    assert 1 < timing.count < 100_000_000
    assert timing.count * timing.avg_us < 1e6


NAME = "serving_default_image:0"
ESCAPED = NAME.replace(":", "::")
IMAGES = numpy.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype("<f4")


def compute_answers(
    folder: Path, model: Path, images: NDArray[numpy.float32], *flags: str
) -> Completed:
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
def test_its_answers_equal_those_of_the_interpreter(tmp_path: Path, model: Path, flag: str) -> None:
    completed = compute_answers(tmp_path, model, IMAGES, *filter(None, [flag]))
    assert completed.returncode == 0
    assert parse_log(completed.stdout).inference.count == 3
    outputs = numpy.frombuffer((tmp_path / "out.bin").read_bytes(), "<f4").reshape(3, 10)
    assert numpy.abs(outputs - predict(model.read_bytes(), IMAGES)).max() < 1e-5
    assert len(numpy.unique(outputs, axis=0)) == 3


def test_a_single_input_works_as_with_the_tool(tmp_path: Path) -> None:
    assert compute_answers(tmp_path, BINARY, images=IMAGES[:1]).returncode == 0
    assert len((tmp_path / "out.bin").read_bytes()) == 10 * 4


def test_inputs_and_outputs_are_echoed_as_the_tool_echoes_them(tmp_path: Path) -> None:
    echo = parse_log(compute_answers(tmp_path, BINARY, images=IMAGES[:1]).stdout).echo
    labels = [
        "Graph",
        "Input layers",
        "Input shapes",
        "Input value files",
        "File path to export outputs layer to",
    ]
    assert [echo[label] for label in labels[1:]] == [
        NAME,
        "1,8,8,1",
        f"{ESCAPED}:{tmp_path}/in.bin",
        f"{tmp_path}/out.bin",
    ]
    for printed in (echo, parse_log(load_recording("io_True_0_xnnfalse").stdout).echo):
        assert [label for label in printed if label in labels] == labels


def test_outputs_for_random_inputs_are_written_too(tmp_path: Path) -> None:
    assert bench(BINARY, f"--output_filepath={tmp_path / 'out.bin'}").returncode == 0
    assert numpy.frombuffer((tmp_path / "out.bin").read_bytes(), "<f4").sum() == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.parametrize("size", [0, 1, 8 * 8 * 4 - 1, 8 * 8 * 4 + 1])
def test_values_of_the_wrong_size_are_refused(tmp_path: Path, size: int) -> None:
    completed = compute_answers(tmp_path, BINARY, images=numpy.zeros(size, numpy.uint8))
    assert completed.returncode == 1
    assert f"ERROR: {tmp_path}/in.bin has {size} bytes: an input has 256\n" in completed.stderr
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--input_layer_value_files=serving_default_image::0:/no/such/file", "/no/such/file"),
        ("--input_layer_value_files=serving_default_image:0:in.bin", "must be the NAME"),
        ("--input_layer_value_files=another:in.bin", "must be the NAME"),
        ("--input_layer_value_files=in.bin", "must be the NAME"),
        ("--input_layer_shape=1,8,8", "input 0 has 4 dimensions"),
        ("--input_layer_shape=1,8,8,1:1,2", "the model has 1 inputs"),
        ("--output_filepath=/no/such/folder/out.bin", "/no/such/folder/out.bin"),
    ],
)
def test_flags_that_do_not_fit_are_refused_with_a_message(
    tmp_path: Path, flag: str, message: str
) -> None:
    completed = compute_answers(tmp_path, BINARY, IMAGES[:1], flag)
    assert completed.returncode == 1
    assert message in completed.stderr.splitlines()[-2]
    assert completed.stderr.endswith("ERROR: Benchmarking failed.\n")
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize(
    "flags", [(), ("--graph=",), ("--graph=/no/such/model.tflite",), (f"--graph={MODELS}",)]
)
def test_an_unreadable_file_is_reported(flags: tuple[str, ...]) -> None:
    completed = run(*flags, *FEW_RUNS)
    assert completed.returncode == 1
    assert completed.stderr.startswith("ERROR: ")
    assert "Traceback" not in completed.stderr
    with pytest.raises(CaseFailed, match="graph") as failed:
        read_output(
            Protocol("tiny"), completed.returncode, stdout=completed.stdout, stderr=completed.stderr
        )
    assert failed.value.reason is Reason.CRASHED


@pytest.mark.parametrize("content", [b"", b"garbage", b"garbage" * 1000])
def test_a_file_that_is_not_a_model_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    completed = bench(tmp_path / "model.tflite")
    assert completed.returncode == 1
    assert "ERROR: " in completed.stderr
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_truncated_model_is_a_crash_with_a_reason(tmp_path: Path, length: int) -> None:
    """The interpreter may even end by a signal; the harness continues and reports it."""
    (tmp_path / "model.tflite").write_bytes(FLOAT.read_bytes()[:length])
    completed = bench(tmp_path / "model.tflite")
    with pytest.raises(CaseFailed) as failed:
        read_output(
            Protocol("tiny"), completed.returncode, stdout=completed.stdout, stderr=completed.stderr
        )
    assert failed.value.reason is Reason.CRASHED


def test_it_describes_its_interpreter() -> None:
    completed = run("--describe")
    assert (completed.returncode, completed.stderr) == (0, "")
    name, version = completed.stdout.split()
    assert name == "larq-compute-engine"
    assert version[0].isdigit()


@pytest.fixture(params=["numpy and no interpreter", "nothing at all"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `python -S` is a device's Python, with or without numpy."""
    if request.param == "nothing at all":
        return {"PYTHONPATH": ""}
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (tmp_path / name).symlink_to(packages / name)
    return {"PYTHONPATH": str(tmp_path)}


def test_a_python_without_an_interpreter_ends_with_its_own_exit_code(
    bare: dict[str, str],
) -> None:
    completed = run(f"--graph={BINARY}", *FEW_RUNS, python=(sys.executable, "-S"), environment=bare)
    assert completed.returncode == NO_INTERPRETER
    assert completed.stderr.startswith("ERROR: ")
    assert "Traceback" not in completed.stderr
    with pytest.raises(CaseFailed) as failed:
        read_output(
            Protocol("tiny"), completed.returncode, stdout=completed.stdout, stderr=completed.stderr
        )
    assert failed.value.reason is Reason.NO_INTERPRETER


def test_a_python_without_an_interpreter_describes_none(bare: dict[str, str]) -> None:
    completed = run("--describe", python=(sys.executable, "-S"), environment=bare)
    assert (completed.returncode, completed.stdout) == (NO_INTERPRETER, "none\n")
    (message,) = completed.stderr.splitlines()
    assert message.startswith("ERROR: ")
    for name in (
        "larq-compute-engine (x86-64 Linux only)",
        "ai-edge-litert",
        "tflite-runtime",
        "lce_benchmark_model",
    ):
        assert name in message


def test_it_imports_no_tensorflow() -> None:
    completed = run(f"--graph={BINARY}", *FEW_RUNS, python=(sys.executable, "-X", "importtime"))
    assert completed.returncode == 0
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in completed.stderr.splitlines()
    }
    assert "numpy" in imported
    assert (
        not {"tensorflow", "larq_compute_engine", "larq", "tf_keras", "keras", "ray", "harness"}
        & imported
    )
