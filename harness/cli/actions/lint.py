"""The work of `harness lint`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.cli.actions.session import console
from harness.config.sweep_file import read_sweep
from harness.conversion.lint import Advice, Report, lint
from harness.core.errors import RequestError, TrialFailed
from harness.core.units import format_percent
from harness.report.terminal.tables import add_row, make_table


def lint_file(file: Path, settings: Sequence[str]) -> int:
    """How many networks could not be converted."""
    if file.suffix != ".tflite":
        return _lint_sweep(file, settings)
    if settings:
        raise RequestError(
            f"--set: {file} is a model, which has no keys; set those of a sweep file."
        )
    _print(console(), _lint_model(file), told=set())
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
    from harness.sweep.lint import (
        lint_sweep,
    )  # brings what builds networks, which no model file needs

    out, failed, told = console(), 0, set[Advice]()
    with _without_notices():
        for network in lint_sweep(points):
            out.print(f"{network.name}:", soft_wrap=True)
            if isinstance(network.result, TrialFailed):
                failed += 1
                out.print(network.result, soft_wrap=True)
            else:
                _print(out, network.result, told=told)
            out.print()
    return failed


def _print(out: Console, report: Report, told: set[Advice]) -> None:
    """Adds to what is told already, and is not said again: the same words about the same layer."""
    said = [replace(one, share=0) for one in report.advice]
    new = [one for one, words in zip(report.advice, said, strict=True) if words not in told]
    told.update(said)
    if new:
        out.print(_table(new))
    again = len(said) - len(new)
    out.print(
        report.summary + (f" ({again} of its advice is the same as above.)" if again else ""),
        soft_wrap=True,
    )


def _table(advice: Sequence[Advice]) -> Table:
    made = make_table("share", "layer", "rule", "cost", "change", right=("share",))
    for one in advice:
        name = " ".join(dict.fromkeys((str(one.number), one.kind, one.layer)))
        add_row(made, format_percent(one.share), name, one.rule, one.cost, one.change)
    return made


@contextmanager
def _without_notices() -> Iterator[None]:
    """What TensorFlow and the converters write to standard error from C++, unless more was asked for, goes nowhere."""
    if os.environ.get("HARNESS_VERBOSE"):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
