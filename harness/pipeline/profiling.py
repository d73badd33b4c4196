"""Where an artifact's time goes on a device: one process of the tool that takes notes of every operator."""

from pathlib import Path

from harness.bench.profile import profile_arguments, read_profile
from harness.bench.tools import read
from harness.core.bench import Case
from harness.core.observations import Operator
from harness.pipeline.measure import Station, run_process


def profile(case: Case, station: Station, file: Path) -> tuple[Operator, ...]:
    """Raises CaseFailed where the tool fails, or takes no notes."""
    process = run_process(case, station, file, 1, extra=profile_arguments()).process
    read(case.protocol, process.exit_code, process.stdout, process.stderr)
    return read_profile(process.stdout)
