"""The work of `harness export`, `harness import` and `harness import-published`."""

import sys
from collections.abc import Mapping
from pathlib import Path

from harness.cli.actions.session import Session
from harness.config.published import read_published
from harness.core.errors import RequestError
from harness.core.units import count_noun, format_bytes
from harness.store.exchange import archive
from harness.store.exchange.transfer import select_all, select_sweep
from harness.store.rows.published import PublishedRows

_TOLD = {
    "trials": "trial",
    "artifacts": "artifact",
    "measurements": "measurement",
    "failures": "failure",
    "published": "published number",
}


def export(file: Path, sweep: str | None) -> int:
    """How many artifacts have no whole file here."""
    session = Session.here()
    session.reader.dispose()  # raises where there is no database yet
    if sweep is not None and sweep not in (known := session.trials.list_sweeps()):
        raise RequestError(
            f"--sweep {sweep}: was never submitted; known: {', '.join(known) or 'none'}."
        )
    moved = archive.export_file(
        session.engine,
        session.files,
        file=file,
        selection=select_all() if sweep is None else select_sweep(sweep),
    )
    print(
        f"{file}: {_told(moved.rows)}; {count_noun(moved.files, 'artifact file')}, {format_bytes(file.stat().st_size)}."
    )
    for sha256 in moved.missing:
        print(
            f"artifact {sha256[:12]}…: its file is not here whole, and was left out.",
            file=sys.stderr,
        )
    return len(moved.missing)


def import_file(file: Path) -> None:
    session = Session.here()
    moved = archive.import_file(session.engine, session.files, file=file)
    print(f"{file}: new here {_told(moved.rows)}; {count_noun(moved.files, 'artifact file')}.")


def _told(rows: Mapping[str, int]) -> str:
    return ", ".join(count_noun(rows[name], noun) for name, noun in _TOLD.items())


def import_published(file: Path) -> None:
    numbers = read_published(file)
    new = PublishedRows(Session.here().engine).add(numbers)
    print(
        f"{file}: {count_noun(len(numbers), 'published number')}, {new} new; `harness query published` shows them."
    )
