"""Files of published data sets: how they are found, checked, downloaded and cached."""

import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DataUnavailable, first_line
from harness.core.ids import sha256_of
from harness.data import downloader, folders
from harness.data.dataset import Dataset, Split

Splits = tuple[Split, Split]  # training set, test set


@dataclass(frozen=True)
class Edition:
    """One form in which a data set was published.

    `files` maps each file's name to the SHA-256 of its content after `unpack`.
    `decode` receives the verified contents in the order of `files`.
    """

    files: Mapping[str, str]
    decode: Callable[[Sequence[bytes]], Splits]
    unpack: Callable[[bytes], bytes] = bytes

    def is_in(self, folder: Path) -> bool:
        return all((folder / name).is_file() for name in self.files)

    def read(self, folder: Path) -> Splits:
        """Read the files. Raises DataUnavailable, naming the first that is not as published."""
        return self.decode(
            [self._read_file(folder / name, sha256) for name, sha256 in self.files.items()]
        )

    def _read_file(self, path: Path, sha256: str) -> bytes:
        try:
            content = self.unpack(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise DataUnavailable(f"{path} can't be read: {first_line(error)}") from error
        if (actual := sha256_of(content)) != sha256:
            raise DataUnavailable(
                f"{path} is not the published file "
                f"(its SHA-256 is {actual[:12]}…, not {sha256[:12]}…)"
            )
        return content


@dataclass(frozen=True)
class PublishedDataset:
    """A published data set, the name of its folder, and its editions.

    The files of the last edition are downloaded from `url`.
    """

    name: str
    classes: int
    folder: str
    editions: tuple[Edition, ...]
    url: str

    def load(self) -> Dataset:
        """Read the data set from the user's folder, from this machine, or from the internet.

        If the user has set a folder, only that is read. Raises DataUnavailable if nothing works.
        """
        try:
            train, test = self._read_offline() if folders.is_offline() else self._read_anywhere()
        except (DataUnavailable, OSError) as error:
            raise DataUnavailable(f"{self.name}: {first_line(error)}; {self._remedy}.") from error
        return Dataset(self.name, self.classes, train=train, test=test)

    def find_folder(self) -> Path | None:
        """Return the folder that has all files, damaged or not; None if they need a download."""
        candidates = (
            [folders.folder_of(self.folder)]
            if folders.is_offline()
            else folders.list_candidates(self.folder)
        )
        return next(filter(self._is_in, candidates), None)

    def _is_in(self, folder: Path) -> bool:
        return any(edition.is_in(folder) for edition in self.editions)

    def _read_offline(self) -> Splits:
        folder = folders.folder_of(self.folder)
        for edition in self.editions:
            if edition.is_in(folder):
                return edition.read(folder)
        raise DataUnavailable(
            f"{folder} lacks its files, and nothing is downloaded while "
            f"{folders.DATA_VARIABLE} is set"
        )

    def _read_anywhere(self) -> Splits:
        for folder in folders.list_candidates(self.folder):
            if (splits := self._read_undamaged(folder)) is not None:
                return splits
        return self._download_once(folders.cache_folder() / self.folder)

    def _read_undamaged(self, folder: Path) -> Splits | None:
        """Return None if the folder has no edition, or only damaged files.

        Other folders or a new download can then replace them.
        """
        for edition in self.editions:
            with suppress(DataUnavailable):
                if edition.is_in(folder):
                    return edition.read(folder)
        return None

    def _download_once(self, folder: Path) -> Splits:
        """Let one process download into the cache, while others wait for it."""
        from filelock import FileLock

        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            splits = self._read_undamaged(folder)
            return splits if splits is not None else self._download(folder)

    def _download(self, folder: Path) -> Splits:
        edition, partial = self.editions[-1], folder / ".partial"
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir()
        for name in edition.files:
            downloader.download(f"{self.url}/{name}", partial / name)
        splits = edition.read(partial)
        for name in edition.files:
            (partial / name).replace(folder / name)
        partial.rmdir()
        return splits

    @property
    def _remedy(self) -> str:
        files = ", or ".join(map(", ".join, (edition.files for edition in self.editions)))
        return f"put {files} into ${folders.DATA_VARIABLE}/{self.folder}"
