"""A workspace's rows and artifacts as one file: a tar, compressed by zstd, of `harness.db`, `artifacts/`, SHA256SUMS.

The last is what `sha256sum` prints of the others: a file that was cut off or changed is known by it.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO
from uuid import uuid4

import zstandard
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import StatementError

from harness.core.errors import RequestError, WorkspaceError, first_line
from harness.core.ids import sha256_of_file
from harness.store.database import HEAD, open_database, open_read_only, write_transaction
from harness.store.exchange.transfer import RowSelection, merge, open_snapshot, select_all
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.reading import run_query
from harness.store.tables import artifacts

_DATABASE, _SUMS = "harness.db", "SHA256SUMS"
_MODEL, _PROBE = ".tflite", ".probe.npz"
_FILE = re.compile(rf"artifacts/([0-9a-f]{{64}})({re.escape(_MODEL)}|{re.escape(_PROBE)})")


@dataclass(frozen=True)
class TransferCounts:
    """`rows` by table; `files` are artifacts, `missing` those whose files were not there whole."""

    rows: Mapping[str, int]
    files: int
    missing: tuple[str, ...] = ()


def export_file(
    engine: Engine, files: ArtifactFiles, file: Path, selection: RowSelection
) -> TransferCounts:
    """Writes the file whole or not at all. Raises RequestError where it can't be written."""
    with TemporaryDirectory(prefix="harness-export-") as folder:
        database = Path(folder) / _DATABASE
        copy = open_database(f"sqlite:///{database}")
        with open_snapshot(engine) as source, write_transaction(copy) as target:
            rows = merge(source, target, selection=selection)
            made = list(target.scalars(select(artifacts.c.sha256).order_by(artifacts.c.sha256)))
        copy.dispose()
        whole = [sha256 for sha256 in made if files.state(sha256) is FileState.INTACT]
        # The database first: a newer version's is refused before all else.
        members = {_DATABASE: database, **_artifacts(files, whole)}
        sums = Path(folder) / _SUMS
        sums.write_text(_sums({name: _sum(name, one) for name, one in members.items()}))
        with _written(file) as archive:
            for name, content in {**members, _SUMS: sums}.items():
                _add(archive, name, file=content)
    return TransferCounts(rows, len(whole), missing=tuple(sorted(set(made) - set(whole))))


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
        raise RequestError(
            f"{file}: can't be written: {error.strerror}; check the path."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    """Its content: whose it is and when it was written stays here."""
    about = tarfile.TarInfo(name)
    about.size = file.stat().st_size
    with file.open("rb") as content:
        archive.addfile(about, content)


def _artifacts(files: ArtifactFiles, whole: Iterable[str]) -> dict[str, Path]:
    found = [
        one
        for sha256 in whole
        for one in (files.path(sha256), files.path(sha256).with_suffix(_PROBE))
    ]
    return {f"artifacts/{one.name}": one for one in found if one.is_file()}


def _sum(name: str, file: Path) -> str:
    """Its SHA-256, which a whole artifact has for its name."""
    artifact = _FILE.fullmatch(name)
    return artifact[1] if artifact and artifact[2] == _MODEL else sha256_of_file(file)


def _sums(sums: Mapping[str, str]) -> str:
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())


def import_file(engine: Engine, files: ArtifactFiles, file: Path) -> TransferCounts:
    """Takes in what is not here yet, all of it or nothing.

    Raises RequestError where the file is of a newer version, is damaged, or is something else.
    """
    with _room_for(file), TemporaryDirectory(prefix="harness-import-") as name:
        folder = Path(name)
        unpacked = _unpack(file, folder)
        with _rows(file, folder / _DATABASE) as source, write_transaction(engine) as target:
            rows = merge(source, target, selection=select_all())
            return TransferCounts(rows, sum(_save(files, one) for one in unpacked))


def _unpack(file: Path, folder: Path) -> list[Path]:
    """The artifacts' files, in `folder` as the database is. Raises RequestError where one is not as it was exported."""
    sums: dict[str, str] = {}
    with _read(file) as archive:
        for name, content in _members(file, archive):
            if name == _SUMS:
                if content.read() != _sums(sums).encode():
                    raise _no_export(file)
                return [folder / Path(one).name for one in sums if one != _DATABASE]
            sums[name] = _copied(file, folder, name=name, content=content, first=not sums)
    raise _no_export(file)


def _copied(file: Path, folder: Path, name: str, content: IO[bytes], first: bool) -> str:
    """Its SHA-256."""
    artifact = _FILE.fullmatch(name)
    copy = folder / Path(name).name
    if (name == _DATABASE) != first or copy.exists() or not (first or artifact):
        raise _no_export(file)
    with copy.open("wb") as out:
        copyfileobj(content, out)
    sha256 = sha256_of_file(copy)
    if first:
        _check_version(file, copy)
    if artifact and artifact[2] == _MODEL and artifact[1] != sha256:
        raise RequestError(
            f"{file}: artifact {artifact[1][:12]}… is not what its name says; have it exported again."
        )
    return sha256


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


@contextmanager
def _room_for(file: Path) -> Iterator[None]:
    try:
        yield
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


def _check_version(file: Path, database: Path) -> None:
    if (schema := _schema(file, database)) > HEAD:
        raise RequestError(
            f"{file}: was exported by a newer version of the harness (schema {schema}, this one knows up to {HEAD}); "
            "upgrade the harness, and import it then."
        )


def _schema(file: Path, database: Path) -> str:
    reader = open_read_only(f"sqlite:///{database}")
    try:
        ((schema,),) = run_query(reader, "SELECT version_num FROM alembic_version").values
    except (RequestError, ValueError) as error:
        raise _no_export(file) from error
    finally:
        reader.dispose()
    return str(schema)


def _save(files: ArtifactFiles, one: Path) -> bool:
    """Whether it is an artifact that was not here."""
    sha256 = one.name.partition(".")[0]
    if one.name.endswith(_PROBE):
        if files.probe(sha256) is None:
            files.save_probe(sha256, one.read_bytes())
        return False
    if files.state(sha256) is FileState.INTACT:
        return False
    files.save(one.read_bytes())
    return True


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
    except (StatementError, ValueError, TypeError) as error:
        words = first_line(
            error.orig if isinstance(error, StatementError) and error.orig else error
        )
        raise RequestError(
            f"{file}: its rows can't be taken in: {words}; nothing was imported."
        ) from error
    finally:
        engine.dispose()
