"""A workspace's rows and artifacts as one file: a tar, compressed by zstd, of `harness.db` and `artifacts/`."""

import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO
from uuid import uuid4

import zstandard
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.core.ids import sha256_of
from harness.store.artifacts import ArtifactFiles, FileState
from harness.store.database import HEAD, open_database, open_read_only, writing
from harness.store.reading import ask
from harness.store.tables import artifacts
from harness.store.transfer import Wanted, everything, merge, snapshot

_DATABASE = "harness.db"
_MODEL, _PROBE = ".tflite", ".probe.npz"
_FILE = re.compile(rf"artifacts/([0-9a-f]{{64}})({re.escape(_MODEL)}|{re.escape(_PROBE)})")


@dataclass(frozen=True)
class Moved:
    """`rows` by table; `files` are artifacts, `missing` those whose files were not there whole."""

    rows: Mapping[str, int]
    files: int
    missing: tuple[str, ...] = ()


def export(engine: Engine, files: ArtifactFiles, file: Path, wanted: Wanted) -> Moved:
    """Writes the file whole or not at all. Raises RequestError where it can't be written."""
    with TemporaryDirectory(prefix="harness-export-") as folder:
        database = Path(folder) / _DATABASE
        copy = open_database(f"sqlite:///{database}")
        with snapshot(engine) as source, writing(copy) as target:
            rows = merge(source, target, wanted)
            made = list(target.scalars(select(artifacts.c.sha256).order_by(artifacts.c.sha256)))
        copy.dispose()
        whole = [sha256 for sha256 in made if files.state(sha256) is FileState.WHOLE]
        with _written(file) as archive:
            _add(archive, _DATABASE, database)  # first: a newer version's is refused before all else
            for sha256 in whole:
                _add_artifact(archive, files, sha256)
    return Moved(rows, len(whole), tuple(sorted(set(made) - set(whole))))


@contextmanager
def _written(file: Path) -> Iterator[tarfile.TarFile]:
    partial = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with (
            partial.open("wb") as raw,
            zstandard.ZstdCompressor(write_checksum=True).stream_writer(raw) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            yield archive
        partial.replace(file)
    except OSError as error:
        raise RequestError(f"{file}: can't be written: {error.strerror}; check the path.") from error
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    """Its content: whose it is and when it was written stays here."""
    about = tarfile.TarInfo(name)
    about.size = file.stat().st_size
    with file.open("rb") as content:
        archive.addfile(about, content)


def _add_artifact(archive: tarfile.TarFile, files: ArtifactFiles, sha256: str) -> None:
    file = files.path(sha256)
    for one in (file, file.with_suffix(_PROBE)):
        if one.is_file():
            _add(archive, f"artifacts/{one.name}", one)


def import_file(engine: Engine, files: ArtifactFiles, file: Path) -> Moved:
    """Takes in what is not here yet: every row, or none.

    Raises RequestError where the file is of a newer version, is damaged, or is something else.
    """
    with TemporaryDirectory(prefix="harness-import-") as folder, _read(file) as archive:
        members = _members(file, archive)
        database = Path(folder) / _DATABASE
        _take_database(file, members, database)
        saved = sum(_save(file, files, name, content.read()) for name, content in members)
        with _rows(file, database) as source, writing(engine) as target:
            return Moved(merge(source, target, everything()), saved)


@contextmanager
def _read(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            file.open("rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw) as plain,
            tarfile.open(fileobj=plain, mode="r|") as archive,
        ):
            yield archive
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise _no_export(file) from error
    except OSError as error:
        raise RequestError(
            f"{error.filename or file}: {error.strerror}; nothing was imported: check the path and the space there."
        ) from error


def _members(file: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        content = archive.extractfile(member)
        if content is None:
            raise _no_export(file)
        yield member.name, content


def _no_export(file: Path) -> RequestError:
    return RequestError(
        f"{file}: is damaged, or is nothing that `harness export` wrote; nothing was imported: have it exported again."
    )


def _take_database(file: Path, members: Iterator[tuple[str, IO[bytes]]], database: Path) -> None:
    """The first of the members, into a file of its own. Raises RequestError where it is something else."""
    name, content = next(members, ("", BytesIO()))
    if name != _DATABASE:
        raise _no_export(file)
    with database.open("wb") as copy:
        copyfileobj(content, copy)
    if (schema := _schema(file, database)) > HEAD:
        raise RequestError(
            f"{file}: was exported by a newer version of the harness (schema {schema}, this one knows up to {HEAD}); "
            "upgrade the harness, and import it then."
        )


def _schema(file: Path, database: Path) -> str:
    reader = open_read_only(f"sqlite:///{database}")
    try:
        ((schema,),) = ask(reader, "SELECT version_num FROM alembic_version").values
    except (RequestError, ValueError) as error:
        raise _no_export(file) from error
    finally:
        reader.dispose()
    return str(schema)


def _save(file: Path, files: ArtifactFiles, name: str, content: bytes) -> bool:
    """Whether it is an artifact that was not here."""
    found = _FILE.fullmatch(name)
    if found is None:
        raise _no_export(file)
    sha256, suffix = found.groups()
    if suffix == _PROBE:
        if files.probe(sha256) is None:
            files.save_probe(sha256, content)
        return False
    if sha256_of(content) != sha256:
        raise RequestError(f"{file}: artifact {sha256[:12]}… is not what its name says; have it exported again.")
    missing = files.state(sha256) is not FileState.WHOLE
    files.save(content)
    return missing


@contextmanager
def _rows(file: Path, database: Path) -> Iterator[Connection]:
    """Those of an older version are brought to this one's schema first."""
    try:
        engine = open_database(f"sqlite:///{database}")
    except WorkspaceError as error:
        raise _no_export(file) from error
    try:
        with engine.connect() as source:
            yield source
    except DBAPIError as error:
        raise RequestError(f"{file}: its rows can't be taken in: {first_line(error.orig)}.") from error
    finally:
        engine.dispose()
