"""The implementation of `harness export`, `harness import` and `harness import-published`."""

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

_NOUNS = {
    "trials": "trial",
    "artifacts": "artifact",
    "measurements": "measurement",
    "failures": "failure",
    "published": "published number",
}


def export(file: Path, sweep: str | None) -> int:
    """Export a sweep or all, and return how many artifacts lack an intact file."""
    session = Session.from_environment()
    session.reader.dispose()  # raises where there is no database yet
    if sweep is not None and sweep not in (sweeps := session.trials.list_sweeps()):
        raise RequestError(
            f"--sweep {sweep}: unknown sweep; this workspace has {', '.join(sweeps) or 'none yet'}."
        )
    exported = archive.export_file(
        session.engine,
        session.files,
        file=file,
        selection=select_all() if sweep is None else select_sweep(sweep),
    )
    print(
        f"{file}: {_summarise(exported.rows)}; {count_noun(exported.files, 'artifact file')}, "
        f"{format_bytes(file.stat().st_size)}."
    )
    for sha256 in exported.missing:
        print(
            f"artifact {sha256[:12]}…: its file is missing or corrupt, and was not exported.",
            file=sys.stderr,
        )
    return len(exported.missing)


def import_file(file: Path) -> None:
    session = Session.from_environment()
    imported = archive.import_file(session.engine, session.files, file=file)
    files = count_noun(imported.files, "artifact file")
    print(f"{file}: added {_summarise(imported.rows)}; {files}.")


def _summarise(rows: Mapping[str, int]) -> str:
    return ", ".join(count_noun(rows[name], noun) for name, noun in _NOUNS.items())


def import_published(file: Path) -> None:
    numbers = read_published(file)
    added = PublishedRows(Session.from_environment().engine).add(numbers)
    print(
        f"{file}: {count_noun(len(numbers), 'published number')}, {added} new; "
        "`harness query published` shows them."
    )
