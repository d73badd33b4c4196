"""Root file systems for the lab's machines, built once with mmdebstrap and cached by recipe."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

_HOST_PACKAGES = (
    "mmdebstrap",
    "qemu-user-static",
    "binfmt-support",
    "adb",
    "openssh-client",
    "iproute2",
    "arch-test",
)
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


@dataclass(frozen=True)
class Tree:
    """A Debian of one architecture, with its packages."""

    name: str
    suite: str
    architecture: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """Python packages over a tree, so that one tree serves machines with different interpreters."""

    name: str
    python: str
    platforms: tuple[str, ...]
    packages: tuple[str, ...]


BOARD_ARM64 = Tree(
    "board-arm64",
    "bookworm",
    architecture="arm64",
    packages=("openssh-server", "python3", "procps", "util-linux", "netbase"),
)
BOARD_AMD64 = Tree(
    "board-amd64",
    "bookworm",
    architecture="amd64",
    packages=("openssh-server", "python3", "procps", "util-linux", "netbase", "adb", "faketime"),
)
PHONE_ARM64 = Tree(
    "phone-arm64", "sid", architecture="arm64", packages=("adbd", "python3", "procps")
)

_ARM64 = (
    "manylinux_2_34_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux2014_aarch64",
)
_LITERT = (
    "ai-edge-litert",
    "numpy",
    "flatbuffers",
    "protobuf",
    "ml_dtypes",
    "typing-extensions",
    "tqdm",
)
LITERT_ARM64 = Layer(
    "litert-arm64", "3.11", platforms=_ARM64, packages=(*_LITERT, "backports.strenum")
)
TFLITE_ARM64 = Layer(
    "tflite-arm64", "3.11", platforms=_ARM64, packages=("tflite-runtime", "numpy<2")
)
LCE_AMD64 = Layer(
    "lce-amd64",
    "3.11",
    platforms=("manylinux2014_x86_64",),
    packages=("larq-compute-engine==0.16.0", "numpy<2"),
)


def prepare_host() -> None:
    """Install the programs, and let the kernel run ARM64 programs. Needs root."""
    if os.geteuid() != 0:
        raise SystemExit("The lab creates network namespaces and mounts: run it as root.")
    if any(not _is_installed(package) for package in _HOST_PACKAGES):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run_quietly(["apt-get", "update", "-q"], environment)
        _run_quietly(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_HOST_PACKAGES],
            environment,
        )
    if not (_BINFMT / "register").exists():
        _run_quietly(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)])
    if not (_BINFMT / "qemu-aarch64").exists():
        _run_quietly(["update-binfmts", "--enable", "qemu-aarch64"])


def _is_installed(package: str) -> bool:
    status = subprocess.run(["dpkg", "-s", package], capture_output=True, text=True, check=False)
    return "Status: install ok installed" in status.stdout


def make_phone_layer(tree: Path) -> Layer:
    """Return the layer for the Python version of the phone's Debian."""
    (python,) = (
        path.name.removeprefix("python") for path in (tree / "usr/bin").glob("python3.[0-9][0-9]")
    )
    return Layer("litert-phone", python, platforms=_ARM64, packages=_LITERT)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnn-harness-lab"


def build_tree(recipe: Tree) -> Path:
    return _build_cached(
        recipe.name, astuple(recipe), build=lambda folder: _bootstrap(recipe, folder)
    )


def build_layer(recipe: Layer) -> Path:
    return _build_cached(
        recipe.name, astuple(recipe), build=lambda folder: _install(recipe, folder)
    )


def _build_cached(name: str, recipe: tuple[object, ...], build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            started = time.monotonic()
            print(f"lab: building {name} …", flush=True)
            partial = folder.with_name(f".{folder.name}.{uuid4().hex}")
            try:
                build(partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            print(f"lab: {name} was built in {time.monotonic() - started:.0f} s", flush=True)
    return folder


def _bootstrap(recipe: Tree, folder: Path) -> None:
    options = [
        f"--architectures={recipe.architecture}",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
    ]
    # A frozen mirror's Release file of sid has expired; dpkg's syncing takes minutes in emulation.
    options += ['--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=force-unsafe-io"]
    _run_quietly(["mmdebstrap", *options, recipe.suite, str(folder)])
    folder.chmod(0o755)


def _install(recipe: Layer, folder: Path) -> None:
    """Install wheels for another machine: pip unpacks them without running their code."""
    target = folder / "usr/local/lib" / f"python{recipe.python}" / "dist-packages"
    platforms = [f"--platform={platform}" for platform in recipe.platforms]
    wheels = [
        "--only-binary=:all:",
        "--no-deps",
        "--implementation=cp",
        f"--python-version={recipe.python}",
    ]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    _run_quietly([*pip, *wheels, *platforms, f"--target={target}", *recipe.packages])
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _run_quietly(argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; exit with its output if it fails."""
    completed = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if completed.returncode != 0:
        output = completed.stdout + completed.stderr
        raise SystemExit(f"lab: {' '.join(argv)} ended with {completed.returncode}:\n{output}")
