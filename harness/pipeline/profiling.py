"""Where an artifact's time goes on a device: one process of the tool that takes notes of every operator."""

from pathlib import Path

from harness.bench.profile import profile_arguments, read_profile
from harness.bench.tools import PYTHON_RUNNER, read
from harness.core.bench import Case
from harness.core.errors import CaseFailed, Reason
from harness.core.observations import Operator
from harness.pipeline.measure import Station, run_process


def profile(case: Case, station: Station, file: Path) -> tuple[Operator, ...]:
    """Raises CaseFailed: not_profiled where the tool takes no notes."""
    if case.tool.name == PYTHON_RUNNER:
        message = (
            f"device {case.device}: the Python runner can't tell operators apart; "
            "add lce_benchmark_model there for a profile."
        )
        raise CaseFailed(Reason.NOT_PROFILED, message)
    process = run_process(case, station, file, 1, extra=profile_arguments()).process
    read(case.protocol, process.exit_code, process.stdout, process.stderr)
    return read_profile(process.stdout)
