"""A workspace's rows and artifacts in one file.

The file is a tar, compressed with zstd, of `harness.db`, `artifacts/` and `SHA256SUMS`. The last
has the format of `sha256sum` and covers all others, so that a truncated or changed file is noticed.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO
from uuid import uuid4

import zstandard
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import StatementError

from harness.core.bench import parse_inputs
from harness.core.errors import CaseFailed, RequestError, WorkspaceError, first_line
from harness.core.ids import sha256_of_file
from harness.store.database import (
    HEAD,
    close_database,
    open_database,
    open_read_only,
    write_transaction,
)
from harness.store.exchange.transfer import RowSelection, merge, open_snapshot, select_all
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.files.workspace import sqlite_url
from harness.store.reading import run_query
from harness.store.tables import artifacts, cases

_DATABASE, _SUMS = "harness.db", "SHA256SUMS"
_MODEL, _PROBE, _VALUES = ".tflite", ".probe.npz", ".values"
_NAMED_BY_HASH = (_MODEL, _VALUES)
_FILE = re.compile(r"artifacts/([0-9a-f]{64})(\.tflite|\.probe\.npz|\.values)")


@dataclass(frozen=True)
class TransferCounts:
    """Counts of a transfer: `rows` by table, and artifact `files`.

    `missing` are the artifacts whose files were missing or corrupt.
    """

    rows: Mapping[str, int]
    files: int
    missing: tuple[str, ...] = ()


def export_file(
    engine: Engine, files: ArtifactFiles, file: Path, selection: RowSelection
) -> TransferCounts:
    """Write the selected rows and their artifacts to a file, whole or not at all.

    Raises RequestError if the file cannot be written.
    """
    with TemporaryDirectory(prefix="harness-export-") as folder:
        database = Path(folder) / _DATABASE
        copy = open_database(sqlite_url(database))
        with open_snapshot(engine) as source, write_transaction(copy) as target:
            rows = merge(source, target, selection=selection)
            hashes = list(target.scalars(select(artifacts.c.sha256).order_by(artifacts.c.sha256)))
            values = _list_values(target.scalars(select(cases.c.inputs).distinct()))
        close_database(copy)
        intact = [sha256 for sha256 in hashes if files.state(sha256) is FileState.INTACT]
        # The database comes first, so that an import refuses a newer version before all else.
        members = {_DATABASE: database, **_artifact_members(files, intact)}
        members |= _value_members(files, values)
        sums = Path(folder) / _SUMS
        sums.write_text(_format_sums({name: _hash(name, path) for name, path in members.items()}))
        with _open_for_writing(file) as archive:
            for name, path in {**members, _SUMS: sums}.items():
                _add_member(archive, name, path=path)
    return TransferCounts(rows, len(intact), missing=tuple(sorted(set(hashes) - set(intact))))


@contextmanager
def _open_for_writing(file: Path) -> Iterator[tarfile.TarFile]:
    partial = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with (
            partial.open("wb") as raw,
            zstandard.ZstdCompressor(write_checksum=True).stream_writer(raw) as compressed,
            tarfile.open(fileobj=compressed, mode="w|") as archive,
        ):
            yield archive
        partial.replace(file)
    except OSError as error:
        raise RequestError(
            f"{file}: cannot write this file: {error.strerror}; check the path."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _add_member(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file's content, without its owner and its times."""
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    with path.open("rb") as content:
        archive.addfile(member, content)


def _artifact_members(files: ArtifactFiles, hashes: Iterable[str]) -> dict[str, Path]:
    members = {}
    for sha256 in hashes:
        model = files.path(sha256)
        for path in (model, model.with_suffix(_PROBE)):
            if path.is_file():
                members[f"artifacts/{path.name}"] = path
    return members


def _value_members(files: ArtifactFiles, hashes: Iterable[str]) -> dict[str, Path]:
    members = {}
    for sha256 in hashes:
        with suppress(CaseFailed):  # missing or damaged: an import would refuse it
            path = files.find_values(sha256)
            members[f"artifacts/{path.name}"] = path
    return members


def _list_values(inputs: Iterable[str | None]) -> list[str]:
    """Return the SHA-256 of each file of values that the inputs of a case name."""
    hashes: set[str] = set()
    for text in inputs:
        hashes.update(entry.values for entry in parse_inputs(text) if entry.values)
    return sorted(hashes)


def _hash(name: str, path: Path) -> str:
    """Return the file's SHA-256, which is the name of an intact artifact."""
    artifact = _FILE.fullmatch(name)
    return artifact[1] if artifact and artifact[2] in _NAMED_BY_HASH else sha256_of_file(path)


def _format_sums(sums: Mapping[str, str]) -> str:
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())


def import_file(engine: Engine, files: ArtifactFiles, file: Path) -> TransferCounts:
    """Import the rows and artifacts that are missing here, all of them or none.

    Raises RequestError if the file is damaged, of a newer version, or not an export.
    """
    with _translate_os_errors(file), TemporaryDirectory(prefix="harness-import-") as name:
        folder = Path(name)
        unpacked = _unpack(file, folder)
        with _open_rows(file, folder / _DATABASE) as source, write_transaction(engine) as target:
            rows = merge(source, target, selection=select_all())
            return TransferCounts(rows, sum(_save(files, path) for path in unpacked))


def _unpack(file: Path, folder: Path) -> list[Path]:
    """Unpack the archive into the folder and return the artifacts' files.

    Raises RequestError if a member differs from what was exported.
    """
    sums: dict[str, str] = {}
    with _open_for_reading(file) as archive:
        for name, content in _iter_members(file, archive):
            if name == _SUMS:
                if content.read() != _format_sums(sums).encode():
                    raise _invalid_export(file)
                return [folder / Path(member).name for member in sums if member != _DATABASE]
            sums[name] = _unpack_member(file, folder, name=name, content=content, is_first=not sums)
    raise _invalid_export(file)


def _unpack_member(
    file: Path, folder: Path, name: str, content: IO[bytes], *, is_first: bool
) -> str:
    """Copy a member into the folder, check it, and return its SHA-256."""
    artifact = _FILE.fullmatch(name)
    copy = folder / Path(name).name
    if (name == _DATABASE) != is_first or copy.exists() or not (is_first or artifact):
        raise _invalid_export(file)
    with copy.open("wb") as target:
        copyfileobj(content, target)
    sha256 = sha256_of_file(copy)
    if is_first:
        _check_version(file, copy)
    if artifact and artifact[2] in _NAMED_BY_HASH and artifact[1] != sha256:
        raise RequestError(
            f"{file}: the content of artifact {artifact[1][:12]}… does not match its name. "
            "Nothing was imported; export the file again."
        )
    return sha256


@contextmanager
def _open_for_reading(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            file.open("rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw) as plain,
            tarfile.open(fileobj=plain, mode="r|") as archive,
        ):
            yield archive
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise _invalid_export(file) from error


@contextmanager
def _translate_os_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestError(
            f"{error.filename or file}: {error.strerror}. Nothing was imported; "
            "check the path and the free space."
        ) from error
    except WorkspaceError as error:
        raise WorkspaceError(f"{error} Nothing was imported.") from error


def _iter_members(file: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        content = archive.extractfile(member)
        if content is None:
            raise _invalid_export(file)
        yield member.name, content


def _invalid_export(file: Path) -> RequestError:
    return RequestError(
        f"{file}: damaged, or not a file from `harness export`. "
        "Nothing was imported; export it again."
    )


def _check_version(file: Path, database: Path) -> None:
    if (schema := _read_schema(file, database)) > HEAD:
        raise RequestError(
            f"{file}: exported by a newer version of the harness (schema {schema}, but this "
            f"version supports up to {HEAD}); upgrade the harness, then import it."
        )


def _read_schema(file: Path, database: Path) -> str:
    reader = open_read_only(sqlite_url(database))
    try:
        ((schema,),) = run_query(reader, "SELECT version_num FROM alembic_version").values
    except (RequestError, ValueError) as error:
        raise _invalid_export(file) from error
    finally:
        reader.dispose()
    return str(schema)


def _save(files: ArtifactFiles, path: Path) -> bool:
    """Save an unpacked file, and return whether it is an artifact that was missing here."""
    sha256 = path.name.partition(".")[0]
    if path.name.endswith(_PROBE):
        if files.probe(sha256) is None:
            files.save_probe(sha256, path.read_bytes())
        return False
    if path.name.endswith(_VALUES):
        files.save_values(path.read_bytes())
        return False
    if files.state(sha256) is FileState.INTACT:
        return False
    files.save(path.read_bytes())
    return True


@contextmanager
def _open_rows(file: Path, database: Path) -> Iterator[Connection]:
    """Open the unpacked database, upgraded to this version's schema."""
    try:
        engine = open_database(sqlite_url(database))
    except WorkspaceError as error:
        raise _invalid_export(file) from error
    try:
        with engine.connect() as source:
            yield source
    except (StatementError, ValueError, TypeError) as error:
        cause = error.orig if isinstance(error, StatementError) and error.orig else error
        raise RequestError(
            f"{file}: cannot import its rows: {first_line(cause)}. "
            "Nothing was imported; export it again."
        ) from error
    finally:
        engine.dispose()
