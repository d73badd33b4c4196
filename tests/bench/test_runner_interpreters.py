"""The Python runner over each interpreter that the Pythons here have, alone, and over doubles of what they lack.

`HARNESS_TEST_PYTHONS` names more Pythons than this one, as PATH does folders: say, of virtual environments with
ai-edge-litert or tflite-runtime in them.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import numpy
import pytest

from harness.bench.tools import NO_INTERPRETER, RUNNER_FILE, make_arguments, read_output
from harness.conversion.evaluate import predict
from harness.core.bench import Protocol
from harness.core.errors import CaseFailed, Reason

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY, FLOAT = MODELS / "binary_64.tflite", MODELS / "float_64.tflite"
QUICK = Protocol("tiny", warmup_runs=1, warmup_min_secs=0, num_runs=3, min_secs=0)
NAMES = {
    "larq_compute_engine": "larq-compute-engine",
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
}
Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Board:
    """A Python that sees the packages of one folder and no others."""

    python: str
    packages: Path

    def run(self, *flags: str) -> Ended:
        argv = [self.python, "-S", "-B", str(RUNNER_FILE), *flags]
        env = {**os.environ, "PYTHONPATH": str(self.packages)}
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=120, env=env
        )

    def bench(self, model: Path, *flags: str) -> Ended:
        return self.run(*make_arguments(QUICK, str(model)), *flags)


def folders(python: str) -> dict[str, Path]:
    """Where that Python has numpy and the interpreters, by package; without importing them."""
    program = (
        "import importlib.util, json, os, sys; found = map(importlib.util.find_spec, sys.argv[1:]);"
        "print(json.dumps({one.name: os.path.dirname(one.origin) for one in found if one and one.origin}))"
    )
    argv = [python, "-c", program, "numpy", *NAMES]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return {name: Path(folder) for name, folder in json.loads(ended.stdout).items()}


def link(package: Path, into: Path) -> None:
    """With the libraries and the metadata beside it."""
    beside = [
        package,
        package.with_name(f"{package.name}.libs"),
        *package.parent.glob(f"{package.name}-*.dist-info"),
    ]
    for one in beside:
        if one.exists():
            (into / one.name).symlink_to(one)


PYTHONS = [
    sys.executable,
    *filter(None, os.environ.get("HARNESS_TEST_PYTHONS", "").split(os.pathsep)),
]
FOUND = {python: folders(python) for python in PYTHONS}
BOARDS = [
    (python, package)
    for python in FOUND
    for package in NAMES
    if {"numpy", package} <= set(FOUND[python])
]


def board_of(python: str, package: str, packages: Path) -> Board:
    for one in ("numpy", package):
        link(FOUND[python][one], packages)
    return Board(python, packages)


@pytest.fixture(params=BOARDS, ids="-".join)
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    python, package = request.param
    return board_of(python, package, packages=tmp_path)


@pytest.fixture(
    params=[board for board in BOARDS if board[1] != "larq_compute_engine"], ids="-".join
)
def lite(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    python, package = request.param
    return board_of(python, package, packages=tmp_path)


def failure(ended: Ended) -> CaseFailed:
    assert ended.returncode != 0
    with pytest.raises(CaseFailed) as failed:
        read_output(QUICK, ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    return failed.value


def errors(ended: Ended) -> list[str]:
    return [
        line.removeprefix("ERROR: ")
        for line in ended.stderr.splitlines()
        if line.startswith("ERROR: ")
    ]


def test_it_describes_the_interpreter_that_is_there(board: Board) -> None:
    ended = board.run("--describe")
    assert (ended.returncode, ended.stderr) == (0, "")
    name, version = ended.stdout.split()
    assert name in {NAMES[path.name] for path in board.packages.iterdir() if path.name in NAMES}
    assert version[0].isdigit()


@pytest.mark.parametrize("flags", [(), ("--use_xnnpack=false",), ("--num_threads=2",)])
def test_a_float_model_runs_on_each(board: Board, flags: tuple[str, ...]) -> None:
    ended = board.bench(FLOAT, *flags)
    protocol = Protocol(
        "tiny",
        warmup_runs=1,
        warmup_min_secs=0,
        num_runs=3,
        min_secs=0,
        threads=2 if "threads" in "".join(flags) else 1,
    )
    log = read_output(protocol, ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
    assert log.inference.count == 3
    assert log.inference.min_us > 0
    assert log.peak_memory_bytes is not None


def test_each_answers_alike(board: Board, tmp_path: Path) -> None:
    images = numpy.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype("<f4")
    (tmp_path / "in.bin").write_bytes(images.tobytes())
    name, values = (
        "--input_layer=serving_default_image:0",
        f"serving_default_image::0:{tmp_path / 'in.bin'}",
    )
    output = tmp_path / "out.bin"
    ended = board.bench(
        FLOAT, name, f"--input_layer_value_files={values}", f"--output_filepath={output}"
    )
    assert ended.returncode == 0
    found = numpy.frombuffer(output.read_bytes(), "<f4").reshape(2, 10)
    assert numpy.abs(found - predict(FLOAT.read_bytes(), images)).max() < 1e-5


def test_xnnpack_is_left_out_where_that_is_asked_for(lite: Board) -> None:
    assert "XNNPACK delegate" in lite.bench(FLOAT).stderr
    ended = lite.bench(FLOAT, "--use_xnnpack=false")
    assert ended.returncode == 0
    assert "XNNPACK" not in ended.stderr


@pytest.mark.parametrize("flag", ["--use_xnnpack=true", "--use_xnnpack=false"])
def test_a_binary_model_lacks_its_operators(lite: Board, flag: str) -> None:
    ended = lite.bench(BINARY, flag)
    assert ended.returncode == 1
    words, advice, _ = errors(ended)
    assert words.startswith("Encountered unresolved custom op: LceQuantize")
    assert "larq-compute-engine (x86-64 Linux only)" in advice
    assert "lce_benchmark_model" in advice
    assert "Traceback" not in ended.stderr
    assert failure(ended).reason is Reason.MISSING_OPERATOR


@pytest.mark.parametrize("flag", ["use_reference_bconv", "use_indirect_bgemm"])
def test_what_only_larqs_interpreter_can_is_refused_by_the_others(lite: Board, flag: str) -> None:
    ended = lite.bench(FLOAT, f"--{flag}=true")
    assert ended.returncode == 1
    assert errors(ended)[0] == f"{flag}=true: only larq-compute-engine has that"
    assert failure(ended).reason is Reason.CRASHED
    assert lite.bench(FLOAT, f"--{flag}=false").returncode == 0


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, FLOAT.read_bytes()[:10_000]])
def test_a_file_that_is_no_model_ends_in_words(lite: Board, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    ended = lite.bench(tmp_path / "model.tflite")
    assert "Traceback" not in ended.stderr
    assert failure(ended).reason is Reason.CRASHED


def test_it_imports_little(lite: Board) -> None:
    argv = [
        lite.python,
        "-S",
        "-B",
        "-X",
        "importtime",
        str(RUNNER_FILE),
        *make_arguments(QUICK, str(FLOAT)),
    ]
    env = {**os.environ, "PYTHONPATH": str(lite.packages)}
    ended = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, env=env)
    imported = {
        line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "|" in line
    }
    assert "numpy.linalg" in imported
    assert (
        not {"importlib.metadata", "google.protobuf", "flatbuffers", "ml_dtypes", "tqdm"} & imported
    )


DOUBLE = """
    import numpy

    class OpResolverType:
        BUILTIN_WITHOUT_DEFAULT_DELEGATES = "plain"

    class Interpreter:
        def __init__(self, model_content, num_threads, **settings):
            print("MADE", num_threads, settings)

        def allocate_tensors(self):
            pass

        def get_input_details(self):
            shape, signature = numpy.array([1, 8, 8, 1]), numpy.array([-1, 8, 8, 1])
            return [dict(index=5, shape=shape, shape_signature=signature, dtype=numpy.float32)]

        def get_output_details(self):
            return [dict(index=7)]

        def set_tensor(self, index, values):
            print("SET", index, values.shape, values.dtype)

        def invoke(self):
            pass

        def get_tensor(self, index):
            print("GOT", index)
"""
Maker = Callable[..., None]


@pytest.fixture
def bare(tmp_path: Path) -> Board:
    """This Python, with numpy and no interpreter."""
    link(Path(numpy.__file__).parent, tmp_path)
    return Board(sys.executable, tmp_path)


@pytest.fixture
def add(bare: Board) -> Maker:
    def add(package: str, code: str = DOUBLE, version: str | None = "9.8") -> None:
        (bare.packages / package).mkdir()
        (bare.packages / package / "__init__.py").write_text(
            f"__version__ = {version!r}\n" if version else ""
        )
        (bare.packages / package / "interpreter.py").write_text(dedent(code))

    return add


def test_the_first_of_two_is_taken(bare: Board, add: Maker) -> None:
    for package in ("tflite_runtime", "ai_edge_litert"):
        add(package)
        assert bare.run("--describe").stdout == f"{NAMES[package]} 9.8\n"


def test_values_are_taken_for_one_input_alone(bare: Board, add: Maker) -> None:
    two = "return [dict(index=5, shape=shape, dtype=numpy.int8), dict(index=6, shape=shape, dtype=numpy.int8)]"
    one = "return [dict(index=5, shape=shape, shape_signature=signature, dtype=numpy.float32)]"
    assert one in DOUBLE
    add("tflite_runtime", DOUBLE.replace(one, two))
    ended = bare.bench(FLOAT, "--input_layer=a", "--input_layer_value_files=a:in.bin")
    assert ended.returncode == 1
    assert errors(ended)[0] == "the model has 2 inputs: values are taken for one"
    assert bare.bench(FLOAT).returncode == 0


def test_values_are_of_the_inputs_type(bare: Board, add: Maker, tmp_path: Path) -> None:
    shown = 'print("SET", index, values.shape, values.dtype)'
    assert shown in DOUBLE
    double = DOUBLE.replace("numpy.float32", "numpy.int16").replace(
        shown, 'print("SET", values.dtype, values.max())'
    )
    add("tflite_runtime", double)
    (tmp_path / "in.bin").write_bytes(b"\x01\x02" * 64)
    ended = bare.bench(
        FLOAT, "--input_layer=a", f"--input_layer_value_files=a:{tmp_path / 'in.bin'}"
    )
    assert ended.returncode == 0
    assert ended.stdout.count("SET int16 513\n") == 4


def test_a_version_that_nothing_tells_is_unknown(bare: Board, add: Maker) -> None:
    add("tflite_runtime", version=None)
    ended = bare.run("--describe")
    assert (ended.returncode, ended.stdout) == (0, "tflite-runtime unknown\n")


@pytest.mark.parametrize("broken", ["ai_edge_litert", "larq_compute_engine"])
def test_one_that_does_not_load_makes_way_for_the_next_and_is_named(
    bare: Board, add: Maker, broken: str
) -> None:
    add(broken, "raise OSError('libGL.so:\\nwrong ELF class')")
    alone = bare.run("--describe")
    assert (alone.returncode, alone.stdout) == (NO_INTERPRETER, "none\n")
    assert errors(alone)[0].startswith(f"{NAMES[broken]} does not load: ")
    ended = bare.bench(FLOAT)
    assert failure(ended).reason is Reason.NO_INTERPRETER
    add("tflite_runtime")
    ended = bare.run("--describe")
    assert (ended.returncode, ended.stdout) == (0, "tflite-runtime 9.8\n")
    assert ended.stderr.startswith(f"WARN: {NAMES[broken]} does not load: ")
    assert len(ended.stderr.splitlines()) == 1


def test_an_interpreter_without_numpy_is_none(bare: Board, add: Maker) -> None:
    add("tflite_runtime")
    (bare.packages / "numpy").unlink()
    ended = bare.bench(FLOAT)
    assert ended.returncode == NO_INTERPRETER
    assert errors(ended) == ["tflite-runtime does not load: No module named 'numpy'"]


def test_one_that_was_built_for_another_numpy_says_what_helps(bare: Board, add: Maker) -> None:
    add(
        "tflite_runtime",
        "def Interpreter(**settings):\n    raise SystemError('a result with an exception set')\n",
    )
    ended = bare.bench(FLOAT)
    assert failure(ended).reason is Reason.NO_INTERPRETER
    (words,) = errors(ended)
    assert (
        words == f"tflite-runtime and numpy {numpy.__version__} do not fit: pip install 'numpy<2'"
    )


def test_a_dynamic_dimension_is_1_and_each_run_copies_in_and_out(bare: Board, add: Maker) -> None:
    add("tflite_runtime")
    ended = bare.bench(FLOAT, "--num_threads=3")
    assert ended.returncode == 0
    said = [
        line for line in ended.stdout.splitlines() if line.split(" ")[0] in {"MADE", "SET", "GOT"}
    ]
    assert said == ["MADE 3 {}"] + ["SET 5 (1, 8, 8, 1) float32", "GOT 7"] * 4


def test_the_initialization_is_the_models_alone(bare: Board, add: Maker) -> None:
    """Importing numpy alone may take seconds on a board, and the C++ tool has nothing like it."""
    add("tflite_runtime", f"import time\ntime.sleep(1)\n{dedent(DOUBLE)}")
    init_us = read_output(QUICK, 0, stdout=bare.bench(FLOAT).stdout, stderr="").init_us
    assert init_us is not None
    assert 0 < init_us < 900_000


def test_an_interpreter_too_old_to_leave_xnnpack_out_says_so(bare: Board, add: Maker) -> None:
    add("tflite_runtime", DOUBLE.replace("OpResolverType", "Other"))
    assert bare.bench(FLOAT).returncode == 0
    ended = bare.bench(FLOAT, "--use_xnnpack=false")
    assert ended.returncode == 1
    assert errors(ended)[0] == "use_xnnpack=false: this interpreter is too old for that"


@pytest.mark.parametrize("error", ["RuntimeError('Node 3\\nfailed to invoke')", "MemoryError()"])
def test_a_run_that_fails_ends_in_words(bare: Board, add: Maker, error: str) -> None:
    add(
        "tflite_runtime",
        DOUBLE.replace(
            "def invoke(self):\n            pass", f"def invoke(self):\n            raise {error}"
        ),
    )
    ended = bare.bench(FLOAT)
    assert ended.returncode == 1
    assert errors(ended)[0] in {"Node 3 failed to invoke", "MemoryError"}
    assert failure(ended).reason is Reason.CRASHED


def test_it_is_written_for_old_pythons() -> None:
    ast.parse(RUNNER_FILE.read_text(), feature_version=(3, 7))
