"""Published data sets: where their files are looked for, how they are checked, and how they get into the cache."""

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

Splits = tuple[Split, Split]  # to train on, to test on


@dataclass(frozen=True)
class Edition:
    """One form in which a data set was published.

    `files` gives the SHA-256 of each file's content, which `unpack` makes of its bytes; `decode` gets the contents in
    the order of `files`, checked.
    """

    files: Mapping[str, str]
    decode: Callable[[Sequence[bytes]], Splits]
    unpack: Callable[[bytes], bytes] = bytes

    def lies_in(self, folder: Path) -> bool:
        return all((folder / name).is_file() for name in self.files)

    def read(self, folder: Path) -> Splits:
        """Raises DataUnavailable, naming the first file that is not what was published."""
        return self.decode(
            [self._content(folder / name, sha256) for name, sha256 in self.files.items()]
        )

    def _content(self, path: Path, sha256: str) -> bytes:
        try:
            content = self.unpack(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise DataUnavailable(f"{path} can't be read: {first_line(error)}") from error
        if (found := sha256_of(content)) != sha256:
            raise DataUnavailable(
                f"{path} is not what was published (SHA-256 {found[:12]}…, not {sha256[:12]}…)"
            )
        return content


@dataclass(frozen=True)
class Published:
    """A data set, the folder that its files lie in, and its editions; the last one's files are fetched from `url`."""

    name: str
    classes: int
    folder: str
    editions: tuple[Edition, ...]
    url: str

    def load(self) -> Dataset:
        """From the user's folder alone where one is set; else from this machine, or fetched. Raises DataUnavailable."""
        try:
            train, test = self._offline() if folders.offline() else self._anywhere()
        except (DataUnavailable, OSError) as error:
            raise DataUnavailable(f"{self.name}: {first_line(error)}; {self._remedy}.") from error
        return Dataset(self.name, self.classes, train=train, test=test)

    def place(self) -> Path | None:
        """The folder on this machine that has its files, whole or not; None where they would have to be fetched."""
        places = (
            (folders.folder_of(self.folder),)
            if folders.offline()
            else folders.places_of(self.folder)
        )
        return next(
            (place for place in places if any(edition.lies_in(place) for edition in self.editions)),
            None,
        )

    def _offline(self) -> Splits:
        place = folders.folder_of(self.folder)
        for edition in self.editions:
            if edition.lies_in(place):
                return edition.read(place)
        raise DataUnavailable(
            f"is not in {place}, and nothing is fetched while {folders.DATA_VARIABLE} is set"
        )

    def _anywhere(self) -> Splits:
        for place in folders.places_of(self.folder):
            if (found := self._whole(place)) is not None:
                return found
        return self._fetched(folders.cache() / self.folder)

    def _whole(self, place: Path) -> Splits | None:
        """What lies there, or None where it is damaged: then there are other places, or it is fetched again."""
        for edition in self.editions:
            with suppress(DataUnavailable):
                if edition.lies_in(place):
                    return edition.read(place)
        return None

    def _fetched(self, place: Path) -> Splits:
        """Fetched into the cache by one process, while others wait for it."""
        from filelock import FileLock

        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            found = self._whole(place)
            return found if found is not None else self._fetch(place)

    def _fetch(self, place: Path) -> Splits:
        edition, partial = self.editions[-1], place / ".partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        partial.mkdir()
        for name in edition.files:
            downloader.fetch(f"{self.url}/{name}", partial / name)
        splits = edition.read(partial)
        for name in edition.files:
            (partial / name).replace(place / name)
        partial.rmdir()
        return splits

    @property
    def _remedy(self) -> str:
        wanted = ", or ".join(", ".join(edition.files) for edition in self.editions)
        return f"put {wanted} into ${folders.DATA_VARIABLE}/{self.folder}"
