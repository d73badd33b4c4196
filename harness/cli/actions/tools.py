"""The implementation of `harness tools`."""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from harness.bench.elf import ANY_ABI, abis_of
from harness.bench.tools import PYTHON_RUNNER
from harness.cli.actions.devices import select_with_access
from harness.cli.actions.session import Session, make_console, print_failure
from harness.core.bench import Tool
from harness.core.comparison import Estimate
from harness.core.errors import CaseFailed, RequestError, ToolFileError, first_line
from harness.core.ids import sha256_of
from harness.core.observations import Kernels, KernelVerdict
from harness.core.units import format_bytes
from harness.fleet.device_check import map_devices
from harness.fleet.kernel_check import check_kernels
from harness.report.terminal.tables import add_row, format_ratio, make_table, tabulate
from harness.store.files.tools import ToolFile

# docs.larq.dev, "Benchmarking": the binaries of each release.
_RELEASES = "https://github.com/larq/compute-engine/releases/download/v0.16.0"
_RELEASED = (
    "lce_benchmark_model_aarch64",
    "lce_benchmark_model_aarch32",
    "lce_benchmark_model_android_arm64",
)
_TIMEOUT_S = 60


def add_tool(name: str, url: str | None, file: Path | None, sha256: str | None) -> None:
    """Add a file, a download or a release as a tool.

    Raises RequestError if the file can't be read, is not a program or has another SHA-256.
    """
    if url and file:
        raise RequestError("give --url or --file, not both.")
    content = _read(file) if file is not None else _download(url or _release_url(name))
    if sha256 is not None and sha256_of(content) != sha256.lower():
        raise RequestError(
            f"tool {name}: the SHA-256 of the file is {sha256_of(content)}, not {sha256}."
        )
    files = Session.from_environment().tools
    added = files.add(name, content)
    try:
        abis = abis_of(added.path)
    except ToolFileError as error:
        added.path.unlink()
        raise RequestError(f"tool {name}: {file or url or _release_url(name)} {error}.") from error
    print(
        f"{name}: {format_bytes(added.size_bytes)} for {_format_abis(abis)}, SHA-256 {added.sha256}"
    )


def _release_url(name: str) -> str:
    if name not in _RELEASED:
        raise RequestError(
            f"tool {name!r} is not a release: give --file or --url, or use {', '.join(_RELEASED)}."
        )
    return f"{_RELEASES}/{name}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error


def _download(url: str) -> bytes:
    if not url.startswith("https://"):
        raise RequestError(f"--url {url}: give a URL that starts with https://.")
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - https only
            content: bytes = response.read()
            return content
    except (URLError, OSError) as error:
        message = (
            f"{url}: can't be downloaded ({first_line(error)}); "
            "download it elsewhere and give it with --file."
        )
        raise RequestError(message) from error


def _format_abis(abis: frozenset[str]) -> str:
    return "any ABI (a script)" if abis == ANY_ABI else " and ".join(sorted(abis))


def list_tools() -> None:
    tools = Session.from_environment().tools
    newest = {tool.path for tool in tools.newest_by_name().values()}
    rows = [
        (
            tool.name,
            _describe_abis(tool),
            tool.sha256[:12],
            format_bytes(tool.size_bytes),
            _format_time(tool),
            "in use" if tool.path in newest else "replaced",
        )
        for tool in tools.list_all()
    ]
    rows.append((PYTHON_RUNNER, "any with Python", "", "", "", "comes with the harness"))
    make_console().print(tabulate(("tool", "for", "sha256", "size", "added", ""), rows))


def _describe_abis(tool: ToolFile) -> str:
    try:
        return _format_abis(abis_of(tool.path))
    except ToolFileError as error:
        return str(error)


def _format_time(tool: ToolFile) -> str:
    return (
        datetime.fromtimestamp(tool.added, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )


def check_tools(registry: Path, ids: Sequence[str]) -> int:
    """Check that the tools' files are intact, and that devices run the optimised kernels.

    Return the number of corrupt files, failed devices and slow kernels.
    """
    session = Session.from_environment()
    corrupt = [tool for tool in session.tools.list_all() if not session.tools.is_intact(tool)]
    for tool in corrupt:
        print(f"{tool.name}: its file {tool.path} is corrupt; add the tool again.")
    devices, access = select_with_access(registry, ids)
    table = make_table("device", "tool", "kernels", "reference / optimised", "")
    slow = 0
    failures = []
    for device, kernels in map_devices(devices, lambda device: check_kernels(device, access)):
        if isinstance(kernels, CaseFailed):
            failures.append(kernels)
            continue
        session.observations.add_kernels(kernels)
        # The Python runner is never fast.
        slow += kernels.verdict is KernelVerdict.REFERENCE and kernels.tool.name != PYTHON_RUNNER
        add_row(
            table,
            device.id,
            _name_tool(kernels.tool),
            str(kernels.verdict),
            _format_kernel_ratio(kernels),
            kernels.message,
        )
    make_console().print(table)
    for failure in failures:
        print_failure(failure)
    return len(corrupt) + len(failures) + slow


def _name_tool(tool: Tool) -> str:
    return f"{tool.name} {tool.interpreter or tool.sha256[:12]}"


def _format_kernel_ratio(kernels: Kernels) -> str:
    if kernels.ratio is None:
        return "–"
    return format_ratio(Estimate(kernels.ratio, kernels.ratio_low, high=kernels.ratio_high))
