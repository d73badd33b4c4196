"""The Python runner with each installed interpreter alone, and with doubles of missing ones.

`HARNESS_TEST_PYTHONS` names further Pythons, separated as in PATH: for example those of virtual
environments with ai-edge-litert or tflite-runtime.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
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
Completed = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Board:
    """A Python that sees the packages of one folder and no others."""

    python: str
    packages: Path

    def run(self, *flags: str) -> Completed:
        argv = [self.python, "-S", "-B", str(RUNNER_FILE), *flags]
        env = {**os.environ, "PYTHONPATH": str(self.packages)}
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=120, env=env
        )

    def bench(self, model: Path, *flags: str) -> Completed:
        return self.run(*make_arguments(QUICK, str(model)), *flags)


def find_packages(python: str) -> dict[str, Path]:
    """Return the folders of that Python's numpy and interpreters, without importing them."""
    program = """
        import importlib.util, json, os, sys
        specs = map(importlib.util.find_spec, sys.argv[1:])
        origins = {spec.name: spec.origin for spec in specs if spec and spec.origin}
        print(json.dumps({name: os.path.dirname(origin) for name, origin in origins.items()}))
    """
    argv = [python, "-c", dedent(program), "numpy", *NAMES]
    completed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return {name: Path(folder) for name, folder in json.loads(completed.stdout).items()}


def link_package(package: Path, folder: Path) -> None:
    """Link a package, its libraries and its metadata into a folder."""
    sources = [
        package,
        package.with_name(f"{package.name}.libs"),
        *package.parent.glob(f"{package.name}-*.dist-info"),
    ]
    for source in sources:
        if source.exists():
            (folder / source.name).symlink_to(source)


PYTHONS = [
    sys.executable,
    *filter(None, os.environ.get("HARNESS_TEST_PYTHONS", "").split(os.pathsep)),
]
PACKAGES = {python: find_packages(python) for python in PYTHONS}
BOARDS = [
    (python, package)
    for python, package in product(PACKAGES, NAMES)
    if {"numpy", package} <= set(PACKAGES[python])
]


def make_board(python: str, package: str, packages: Path) -> Board:
    for name in ("numpy", package):
        link_package(PACKAGES[python][name], packages)
    return Board(python, packages)


@pytest.fixture(params=BOARDS, ids="-".join)
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    python, package = request.param
    return make_board(python, package, packages=tmp_path)


@pytest.fixture(
    params=[board for board in BOARDS if board[1] != "larq_compute_engine"], ids="-".join
)
def lite(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    python, package = request.param
    return make_board(python, package, packages=tmp_path)


def fail(completed: Completed) -> CaseFailed:
    assert completed.returncode != 0
    with pytest.raises(CaseFailed) as failed:
        read_output(QUICK, completed.returncode, stdout=completed.stdout, stderr=completed.stderr)
    return failed.value


def list_errors(completed: Completed) -> list[str]:
    return [
        line.removeprefix("ERROR: ")
        for line in completed.stderr.splitlines()
        if line.startswith("ERROR: ")
    ]


def test_it_describes_the_installed_interpreter(board: Board) -> None:
    completed = board.run("--describe")
    assert (completed.returncode, completed.stderr) == (0, "")
    name, version = completed.stdout.split()
    assert name in {NAMES[path.name] for path in board.packages.iterdir() if path.name in NAMES}
    assert version[0].isdigit()


@pytest.mark.parametrize("flags", [(), ("--use_xnnpack=false",), ("--num_threads=2",)])
def test_a_float_model_runs_with_each_interpreter(board: Board, flags: tuple[str, ...]) -> None:
    completed = board.bench(FLOAT, *flags)
    protocol = Protocol(
        "tiny",
        warmup_runs=1,
        warmup_min_secs=0,
        num_runs=3,
        min_secs=0,
        threads=2 if "threads" in "".join(flags) else 1,
    )
    log = read_output(
        protocol, completed.returncode, stdout=completed.stdout, stderr=completed.stderr
    )
    assert log.inference.count == 3
    assert log.inference.min_us > 0
    assert log.peak_memory_bytes is not None


def test_all_interpreters_give_the_same_answers(board: Board, tmp_path: Path) -> None:
    images = numpy.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype("<f4")
    (tmp_path / "in.bin").write_bytes(images.tobytes())
    name, values = (
        "--input_layer=serving_default_image:0",
        f"serving_default_image::0:{tmp_path / 'in.bin'}",
    )
    output = tmp_path / "out.bin"
    completed = board.bench(
        FLOAT, name, f"--input_layer_value_files={values}", f"--output_filepath={output}"
    )
    assert completed.returncode == 0
    outputs = numpy.frombuffer(output.read_bytes(), "<f4").reshape(2, 10)
    assert numpy.abs(outputs - predict(FLOAT.read_bytes(), images)).max() < 1e-5


def test_xnnpack_can_be_turned_off(lite: Board) -> None:
    assert "XNNPACK delegate" in lite.bench(FLOAT).stderr
    completed = lite.bench(FLOAT, "--use_xnnpack=false")
    assert completed.returncode == 0
    assert "XNNPACK" not in completed.stderr


@pytest.mark.parametrize("flag", ["--use_xnnpack=true", "--use_xnnpack=false"])
def test_a_binary_model_lacks_its_operators(lite: Board, flag: str) -> None:
    completed = lite.bench(BINARY, flag)
    assert completed.returncode == 1
    message, advice, _ = list_errors(completed)
    assert message.startswith("Encountered unresolved custom op: LceQuantize")
    assert "larq-compute-engine (x86-64 Linux only)" in advice
    assert "lce_benchmark_model" in advice
    assert "Traceback" not in completed.stderr
    assert fail(completed).reason is Reason.MISSING_OPERATOR


@pytest.mark.parametrize("flag", ["use_reference_bconv", "use_indirect_bgemm"])
def test_flags_of_larqs_interpreter_are_refused_by_the_others(lite: Board, flag: str) -> None:
    completed = lite.bench(FLOAT, f"--{flag}=true")
    assert completed.returncode == 1
    assert list_errors(completed)[0] == f"{flag}=true: only larq-compute-engine has that"
    assert fail(completed).reason is Reason.CRASHED
    assert lite.bench(FLOAT, f"--{flag}=false").returncode == 0


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, FLOAT.read_bytes()[:10_000]])
def test_a_file_that_is_not_a_model_is_reported(
    lite: Board, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    completed = lite.bench(tmp_path / "model.tflite")
    assert "Traceback" not in completed.stderr
    assert fail(completed).reason is Reason.CRASHED


def test_it_imports_no_slow_packages(lite: Board) -> None:
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
    completed = subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=120, env=env
    )
    imported = {
        line.rpartition("|")[2].strip() for line in completed.stderr.splitlines() if "|" in line
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
AddPackage = Callable[..., None]


@pytest.fixture
def bare(tmp_path: Path) -> Board:
    """Return this Python with numpy and no interpreter."""
    link_package(Path(numpy.__file__).parent, tmp_path)
    return Board(sys.executable, tmp_path)


@pytest.fixture
def add_package(bare: Board) -> AddPackage:
    def add(package: str, code: str = DOUBLE, version: str | None = "9.8") -> None:
        (bare.packages / package).mkdir()
        (bare.packages / package / "__init__.py").write_text(
            f"__version__ = {version!r}\n" if version else ""
        )
        (bare.packages / package / "interpreter.py").write_text(dedent(code))

    return add


def test_the_first_of_two_interpreters_is_used(bare: Board, add_package: AddPackage) -> None:
    for package in ("tflite_runtime", "ai_edge_litert"):
        add_package(package)
        assert bare.run("--describe").stdout == f"{NAMES[package]} 9.8\n"


def test_each_of_several_inputs_may_have_one_file(
    bare: Board, add_package: AddPackage, tmp_path: Path
) -> None:
    one_input = "[dict(index=5, shape=shape, shape_signature=signature, dtype=numpy.float32)]"
    two_inputs = "[dict(index=index, shape=shape, dtype=numpy.int8) for index in (5, 6)]"
    statement = 'print("SET", index, values.shape, values.dtype)'
    assert one_input in DOUBLE
    assert statement in DOUBLE
    double = DOUBLE.replace(one_input, two_inputs)
    add_package("tflite_runtime", double.replace(statement, 'print("SET", index, values.sum())'))
    file = tmp_path / "in.bin"
    file.write_bytes(b"\x02" * 64)
    completed = bare.bench(FLOAT, "--input_layer=a,b", f"--input_layer_value_files=b:{file}")
    assert completed.returncode == 0
    assert "SET 5 128\n" not in completed.stdout
    assert "SET 6 128\n" in completed.stdout
    longer = tmp_path / "longer.bin"
    longer.write_bytes(b"\x02" * 128)
    files = f"--input_layer_value_files=a:{longer},b:{file}"
    completed = bare.bench(FLOAT, "--input_layer=a,b", files)
    assert list_errors(completed)[0] == "the files of the inputs have [1, 2] inputs"
    completed = bare.bench(FLOAT, "--input_layer=a", f"--input_layer_value_files=a:{file}")
    assert list_errors(completed)[0] == "input_layer=a: the model has 2 inputs"
    assert bare.bench(FLOAT).returncode == 0


def test_values_have_the_type_of_the_input(
    bare: Board, add_package: AddPackage, tmp_path: Path
) -> None:
    statement = 'print("SET", index, values.shape, values.dtype)'
    assert statement in DOUBLE
    double = DOUBLE.replace("numpy.float32", "numpy.int16").replace(
        statement, 'print("SET", values.dtype, values.max())'
    )
    add_package("tflite_runtime", double)
    (tmp_path / "in.bin").write_bytes(b"\x01\x02" * 64)
    completed = bare.bench(
        FLOAT, "--input_layer=a", f"--input_layer_value_files=a:{tmp_path / 'in.bin'}"
    )
    assert completed.returncode == 0
    assert completed.stdout.count("SET int16 513\n") == 4


def test_an_interpreter_without_a_version_is_unknown(bare: Board, add_package: AddPackage) -> None:
    add_package("tflite_runtime", version=None)
    completed = bare.run("--describe")
    assert (completed.returncode, completed.stdout) == (0, "tflite-runtime unknown\n")


@pytest.mark.parametrize("broken", ["ai_edge_litert", "larq_compute_engine"])
def test_an_interpreter_that_does_not_load_is_named_and_the_next_is_used(
    bare: Board, add_package: AddPackage, broken: str
) -> None:
    add_package(broken, "raise OSError('libGL.so:\\nwrong ELF class')")
    alone = bare.run("--describe")
    assert (alone.returncode, alone.stdout) == (NO_INTERPRETER, "none\n")
    assert list_errors(alone)[0].startswith(f"{NAMES[broken]} does not load: ")
    completed = bare.bench(FLOAT)
    assert fail(completed).reason is Reason.NO_INTERPRETER
    add_package("tflite_runtime")
    completed = bare.run("--describe")
    assert (completed.returncode, completed.stdout) == (0, "tflite-runtime 9.8\n")
    assert completed.stderr.startswith(f"WARN: {NAMES[broken]} does not load: ")
    assert len(completed.stderr.splitlines()) == 1


def test_an_interpreter_without_numpy_does_not_count(bare: Board, add_package: AddPackage) -> None:
    add_package("tflite_runtime")
    (bare.packages / "numpy").unlink()
    completed = bare.bench(FLOAT)
    assert completed.returncode == NO_INTERPRETER
    assert list_errors(completed) == ["tflite-runtime does not load: No module named 'numpy'"]


def test_an_interpreter_for_another_numpy_is_reported_with_a_remedy(
    bare: Board, add_package: AddPackage
) -> None:
    add_package(
        "tflite_runtime",
        "def Interpreter(**settings):\n    raise SystemError('a result with an exception set')\n",
    )
    completed = bare.bench(FLOAT)
    assert fail(completed).reason is Reason.NO_INTERPRETER
    message = f"tflite-runtime and numpy {numpy.__version__} do not fit: pip install 'numpy<2'"
    assert list_errors(completed) == [message]


def test_a_dynamic_dimension_is_1_and_each_run_copies_in_and_out(
    bare: Board, add_package: AddPackage
) -> None:
    add_package("tflite_runtime")
    completed = bare.bench(FLOAT, "--num_threads=3")
    assert completed.returncode == 0
    calls = [
        line
        for line in completed.stdout.splitlines()
        if line.split(" ")[0] in {"MADE", "SET", "GOT"}
    ]
    assert calls == ["MADE 3 {}"] + ["SET 5 (1, 8, 8, 1) float32", "GOT 7"] * 4


def test_the_initialization_excludes_imports(bare: Board, add_package: AddPackage) -> None:
    """Importing numpy alone may take seconds on a board; the C++ tool has no such step."""
    add_package("tflite_runtime", f"import time\ntime.sleep(1)\n{dedent(DOUBLE)}")
    init_us = read_output(QUICK, 0, stdout=bare.bench(FLOAT).stdout, stderr="").init_us
    assert init_us is not None
    assert 0 < init_us < 900_000


def test_an_interpreter_too_old_to_turn_xnnpack_off_is_reported(
    bare: Board, add_package: AddPackage
) -> None:
    add_package("tflite_runtime", DOUBLE.replace("OpResolverType", "Other"))
    assert bare.bench(FLOAT).returncode == 0
    completed = bare.bench(FLOAT, "--use_xnnpack=false")
    assert completed.returncode == 1
    assert list_errors(completed)[0] == "use_xnnpack=false: this interpreter is too old for that"


@pytest.mark.parametrize("error", ["RuntimeError('Node 3\\nfailed to invoke')", "MemoryError()"])
def test_a_run_that_fails_is_reported(bare: Board, add_package: AddPackage, error: str) -> None:
    add_package(
        "tflite_runtime",
        DOUBLE.replace(
            "def invoke(self):\n            pass", f"def invoke(self):\n            raise {error}"
        ),
    )
    completed = bare.bench(FLOAT)
    assert completed.returncode == 1
    assert list_errors(completed)[0] in {"Node 3 failed to invoke", "MemoryError"}
    assert fail(completed).reason is Reason.CRASHED


def test_it_runs_on_old_pythons() -> None:
    ast.parse(RUNNER_FILE.read_text(), feature_version=(3, 7))
