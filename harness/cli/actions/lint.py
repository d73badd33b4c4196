"""The implementation of `harness lint`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.cli.actions.session import make_console
from harness.config.sweep_file import read_sweep
from harness.conversion.lint import Advice, Report, lint
from harness.core.errors import RequestError, TrialFailed
from harness.core.units import format_percent
from harness.report.terminal.tables import add_row, make_table


def lint_file(file: Path, settings: Sequence[str]) -> int:
    """Print the advice for a model or a sweep; return how many networks could not be converted."""
    if file.suffix != ".tflite":
        return _lint_sweep(file, settings)
    if settings:
        raise RequestError(f"--set: {file} is a model, which has no keys; give a sweep file.")
    _print_report(make_console(), _lint_model(file), printed=set())
    return 0


def _lint_model(file: Path) -> Report:
    try:
        return lint(file.read_bytes())
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error
    except ValueError as error:
        raise RequestError(f"{file}: {error}; give a .tflite file.") from error


def _lint_sweep(file: Path, settings: Sequence[str]) -> int:
    points = read_sweep(file, settings)

    # Not at the top: it imports TensorFlow, which a model file does not need.
    from harness.sweep.lint import lint_sweep

    out, failures, printed = make_console(), 0, set[Advice]()
    with _silence_libraries():
        for network in lint_sweep(points):
            out.print(f"{network.name}:", soft_wrap=True)
            if isinstance(network.result, TrialFailed):
                failures += 1
                out.print(network.result, soft_wrap=True)
            else:
                _print_report(out, network.result, printed=printed)
            out.print()
    return failures


def _print_report(out: Console, report: Report, printed: set[Advice]) -> None:
    """Print the advice that is not in `printed`, and add it there.

    The same advice about the same layer counts as printed, whatever its share of the model.
    """
    keys = [replace(advice, share=0) for advice in report.advice]
    new_advice = [
        advice for advice, key in zip(report.advice, keys, strict=True) if key not in printed
    ]
    printed.update(keys)
    if new_advice:
        out.print(_make_advice_table(new_advice))
    repeated = len(keys) - len(new_advice)
    note = f" ({repeated} of its advice is the same as above.)" if repeated else ""
    out.print(report.summary + note, soft_wrap=True)


def _make_advice_table(advice: Sequence[Advice]) -> Table:
    table = make_table("share", "layer", "rule", "cost", "change", right=("share",))
    for entry in advice:
        name = " ".join(dict.fromkeys((str(entry.number), entry.kind, entry.layer)))
        share = format_percent(entry.share)
        add_row(table, share, name, entry.rule, entry.cost, entry.change)
    return table


@contextmanager
def _silence_libraries() -> Iterator[None]:
    """Discard what TensorFlow and the converters write to standard error, except if verbose."""
    if os.environ.get("HARNESS_VERBOSE"):
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with Path(os.devnull).open("w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
