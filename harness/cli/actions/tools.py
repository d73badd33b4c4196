"""The work of `harness tools`."""

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from harness.bench.elf import ANY_ABI, abis_of
from harness.bench.tools import PYTHON_RUNNER
from harness.cli.actions.devices import chosen_for
from harness.cli.actions.session import Session, console
from harness.core.comparison import Estimate
from harness.core.errors import CaseFailed, RequestError, first_line
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
    """Raises RequestError where it can't be had, is no program, or is not the one with that SHA-256."""
    if url and file:
        raise RequestError("give --url or --file, not both.")
    content = _read(file) if file is not None else _download(url or _release(name))
    if sha256 is not None and sha256_of(content) != sha256.lower():
        raise RequestError(
            f"tool {name}: its SHA-256 is {sha256_of(content)}, not the one that was asked for."
        )
    files = Session.here().tools
    added = files.add(name, content)
    try:
        abis = abis_of(added.path)
    except ValueError as error:
        added.path.unlink()
        raise RequestError(f"tool {name}: {file or url or _release(name)} {error}.") from error
    print(f"{name}: {format_bytes(added.size_bytes)} for {_words(abis)}, SHA-256 {added.sha256}")


def _release(name: str) -> str:
    if name not in _RELEASED:
        raise RequestError(
            f"tool {name!r}: give --file or --url; released are {', '.join(_RELEASED)}."
        )
    return f"{_RELEASES}/{name}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error


def _download(url: str) -> bytes:
    if not url.startswith("https://"):
        raise RequestError(f"--url {url}: has to start with https://.")
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - https only
            content: bytes = answer.read()
            return content
    except (URLError, OSError) as error:
        message = f"{url}: can't be fetched ({first_line(error)}); fetch it elsewhere and give it with --file."
        raise RequestError(message) from error


def _words(abis: frozenset[str]) -> str:
    return "any ABI (a script)" if abis == ANY_ABI else " and ".join(sorted(abis))


def list_tools() -> None:
    tools = Session.here().tools
    newest = {tool.path for tool in tools.newest_by_name().values()}
    rows = [
        (
            tool.name,
            _abis(tool),
            tool.sha256[:12],
            format_bytes(tool.size_bytes),
            _added(tool),
            _use(tool.path in newest),
        )
        for tool in tools.list_all()
    ]
    rows.append((PYTHON_RUNNER, "any with Python", "", "", "", "comes with the harness"))
    console().print(tabulate(("tool", "for", "sha256", "size", "added", ""), rows))


def _use(newest: bool) -> str:
    return "in use" if newest else "kept"


def _abis(tool: ToolFile) -> str:
    try:
        return _words(abis_of(tool.path))
    except ValueError as error:
        return str(error)


def _added(tool: ToolFile) -> str:
    return (
        datetime.fromtimestamp(tool.added, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )


def check_tools(registry: Path, ids: Sequence[str]) -> int:
    """Whether each tool's file is what it was, and whether each device's tool runs the optimised kernels.

    How many are damaged, can't be tried, or run the slow ones.
    """
    session = Session.here()
    wrong = [tool for tool in session.tools.list_all() if not session.tools.is_intact(tool)]
    for tool in wrong:
        print(f"{tool.name}: its file {tool.path} was changed; add it again.")
    chosen, reach = chosen_for(registry, ids)
    made = make_table("device", "tool", "kernels", "reference / optimised", "")
    slow = 0
    failures = []
    for device, found in zip(
        chosen, map_devices(chosen, lambda one: check_kernels(one, reach)), strict=True
    ):
        if isinstance(found, CaseFailed):
            failures.append(found)
            continue
        session.observations.add_kernels(found)
        slow += (
            found.verdict is KernelVerdict.REFERENCE and found.tool.name != PYTHON_RUNNER
        )  # which never is fast
        name = found.tool.interpreter or found.tool.sha256[:12]
        add_row(
            made,
            device.id,
            f"{found.tool.name} {name}",
            str(found.verdict),
            _ratio(found),
            found.message,
        )
    console().print(made)
    for failure in failures:
        print(failure, file=sys.stderr)
    return len(wrong) + len(failures) + slow


def _ratio(found: Kernels) -> str:
    return (
        "–"
        if found.ratio is None
        else format_ratio(Estimate(found.ratio, found.ratio_low, high=found.ratio_high))
    )
