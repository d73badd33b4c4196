"""Root file systems for the lab's machines: built once with mmdebstrap, kept in the user's cache by their recipes."""

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

_NEEDED = (
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
    """A Debian of some architecture and its packages."""

    name: str
    suite: str
    architecture: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """Python packages over a tree: one tree then serves machines with different interpreters."""

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
    """What a fresh Debian lacks: the programs, and the kernel's ear for ARM64 programs. Needs root."""
    if os.geteuid() != 0:
        raise SystemExit("The lab makes network namespaces and mounts: run it as root.")
    if any(not _installed(package) for package in _NEEDED):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _quietly(["apt-get", "update", "-q"], environment)
        _quietly(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_NEEDED], environment
        )
    if not (_BINFMT / "register").exists():
        _quietly(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)])
    if not (_BINFMT / "qemu-aarch64").exists():
        _quietly(["update-binfmts", "--enable", "qemu-aarch64"])


def _installed(package: str) -> bool:
    asked = subprocess.run(["dpkg", "-s", package], capture_output=True, text=True, check=False)
    return "Status: install ok installed" in asked.stdout


def phone_layer(tree: Path) -> Layer:
    """For the Python that the phone's Debian has today."""
    (python,) = (
        path.name.removeprefix("python") for path in (tree / "usr/bin").glob("python3.[0-9][0-9]")
    )
    return Layer("litert-phone", python, platforms=_ARM64, packages=_LITERT)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnn-harness-lab"


def tree(recipe: Tree) -> Path:
    return _cached(recipe.name, astuple(recipe), build=lambda folder: _bootstrap(recipe, folder))


def layer(recipe: Layer) -> Path:
    return _cached(recipe.name, astuple(recipe), build=lambda folder: _install(recipe, folder))


def _cached(name: str, recipe: tuple[object, ...], build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    made = cache() / f"{name}-{digest}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{made}.lock"):
        if not made.is_dir():
            began = time.monotonic()
            print(f"lab: building {name} …", flush=True)
            partial = made.with_name(f".{made.name}.{uuid4().hex}")
            try:
                build(partial)
                partial.rename(made)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            print(f"lab: {name} was built in {time.monotonic() - began:.0f} s", flush=True)
    return made


def _bootstrap(recipe: Tree, folder: Path) -> None:
    options = [
        f"--architectures={recipe.architecture}",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
    ]
    # sid's Release file on a frozen mirror has expired; dpkg's syncing costs minutes under emulation.
    options += ['--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=force-unsafe-io"]
    _quietly(["mmdebstrap", *options, recipe.suite, str(folder)])
    folder.chmod(0o755)


def _install(recipe: Layer, folder: Path) -> None:
    """Wheels for another machine: pip unpacks them without running anything of theirs."""
    target = folder / "usr/local/lib" / f"python{recipe.python}" / "dist-packages"
    platforms = [f"--platform={one}" for one in recipe.platforms]
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
    _quietly([*pip, *wheels, *platforms, f"--target={target}", *recipe.packages])
    for one in (folder, *folder.rglob("*")):
        one.chmod(one.stat().st_mode | 0o555 if one.is_dir() else one.stat().st_mode | 0o444)


def _quietly(argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """What it printed is shown only where it failed."""
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(
            f"lab: {' '.join(argv)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        )
